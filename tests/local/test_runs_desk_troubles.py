"""What goes wrong around a desk, and is neither lost nor waited for: long words, late words, and failing disks."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.errors import RunError
from simmate_remote.runs.host import open_desk as opening
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.journal import JournalWriter
from simmate_remote.runs.host.lock import FolderLock
from simmate_remote.runs.host.news import News
from simmate_remote.runs.host.outcome import RunOutcome, packed
from simmate_remote.runs.host.recovery import recover
from simmate_remote.runs.host.store import RunStore
from tests.desks import open_desk, spec_of, until

MEGABYTE = 2**20


@pytest.fixture
def place(user_folders: Path) -> Path:
    return user_folders / "data"


async def test_an_error_of_many_megabytes_is_told_as_far_as_it_can_travel(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        folder = await desk.begin("fail_at_length", size=5 * MEGABYTE)
        ending = await desk.ending(folder)
        assert ending["error"]["text"].startswith("ééé")
        assert len(ending["error"]["text"]) < MEGABYTE
        assert await desk.told(folder) == ["created", "started", "failed"]


async def test_an_event_that_cannot_be_written_whole_is_told_all_the_same(place: Path) -> None:
    async with open_desk(place) as (desk, scheduler):
        folder = await desk.begin("wait")
        await until(lambda: desk.runs(folder))
        loop: list[Any] = []
        loop.append(loop)
        told = [{"handler": "a", "seen": {1, 2}}, {"handler": "b", "seen": "x" * 3 * MEGABYTE}, {"handler": loop}]
        for each in told:
            scheduler.log_event("simmate-remote-runs", {"run": folder.id, "key": "task", "corrected": [each]})
        (folder.files / "go").touch()
        assert (await desk.ending(folder))["plain"] == "went"
        assert await desk.told(folder) == ["created", "started", *["corrected"] * 3, "finished"]


def test_a_large_result_is_that_of_the_attempt_that_ends_the_run(tmp_path: Path) -> None:
    folder = RunStore(tmp_path / "runs").create([spec_of("large")])[0]
    before, now = os.urandom(400_000), os.urandom(400_000)
    (folder.path / "result.pickle").write_bytes(before)  # an attempt was killed before it had an outcome
    assert folder.write_outcome(RunOutcome(folder.id, "finished", **packed(now, "result.pickle")), 0, now)
    assert not folder.write_outcome(RunOutcome(folder.id, "finished", **packed(before, "result.pickle")), 0, before)
    assert (folder.path / "result.pickle").read_bytes() == now


async def test_all_runs_fail_whose_code_is_gone_also_those_of_a_second_call(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        lacking = {"code": "0" * 64}
        batches = [[{**spec_of("double", number=1).as_dict(), **lacking} for _ in range(3)] for _ in range(2)]
        for batch in batches:
            await desk.call("create", runs=batch, blobs=[])
        for run in (each["id"] for batch in batches for each in batch):
            ending = await desk.call("outcome", id=run)
            assert (ending["state"], ending["error"]["type"]) == ("failed", "RunDamagedError")
        assert (await desk.call("describe"))["unfinished"] == 0


async def test_an_attempt_that_could_not_hear_that_it_is_cancelled_reads_it_in_its_folder(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        folder = await desk.begin("deaf")
        await until((folder.files / "began").exists)
        assert await desk.call("cancel", id=folder.id) == "cancelled"
        (folder.files / "hear").touch()
        await until((folder.files / "heard").exists)


async def test_what_still_works_in_a_folder_keeps_it_from_being_removed(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        folder = await desk.begin("deaf")
        await until((folder.files / "began").exists)
        await desk.call("cancel", id=folder.id)
        with pytest.raises(RunError, match="its function is still at work"):
            await desk.call("remove", id=folder.id)
        (folder.files / "hear").touch()
        await until((folder.files / "heard").exists)

        async def removed() -> bool:
            try:
                await desk.call("remove", id=folder.id)
            except RunError:
                return False
            return not folder.path.exists()

        await until(removed)


def test_the_end_of_a_round_whose_begin_was_not_told_is_told_by_the_next_desk(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    folder = store.create([spec_of("fail")])[0]
    folder.note_attempt(1, {})
    folder.write_outcome(RunOutcome(folder.id, "failed", 1), 0)
    writer = JournalWriter(store.path / "journal")
    writer.append({"run": folder.id, "time": 1.0, "event": event, "attempt": 1} for event in ("created", "failed"))
    writer.close()
    folder.begin_round(1)
    folder.note_attempt(2, {})
    folder.write_outcome(RunOutcome(folder.id, "finished", 2), 1)
    (found,) = recover(store)
    assert [event for event, _ in found.lines] == ["restarted", "started", "finished"]
    assert not found.unfinished


async def test_a_listener_who_is_away_keeps_no_large_outcomes_in_memory(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    folder = store.create([spec_of("large")])[0]

    async def in_thread(work: Any) -> Any:
        return work()

    live: dict[str, Any] = {folder.id: object()}
    news = News(store, live, in_thread)
    listening = news.outcomes([folder.id])
    with news.feed([folder.id]) as feed:
        outcome = RunOutcome(folder.id, "finished", 1, **packed(b"x" * 100_000, ""))
        folder.write_outcome(outcome, 0)
        live.clear()
        news.ended(outcome)
        item = await anext(feed.items())
        assert (item["ended"]["state"], item["outcome"]) == ("finished", None)
    assert await anext(listening) == outcome
    await listening.aclose()


async def test_a_desk_that_a_disk_kept_from_opening_opens_when_the_disk_is_there(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()

    class Failing(JournalWriter):
        def __init__(self, path: Path) -> None:
            if not tried.is_set():
                tried.set()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().__init__(path)

    monkeypatch.setattr(opening, "JournalWriter", Failing)
    monkeypatch.setattr(opening, "RETRY", 0.05)
    async with open_desk(place) as (desk, _):
        assert (await desk.ending(await desk.begin("double", number=4)))["plain"] == 8
        assert tried.is_set()


def test_blobs_that_no_run_needs_and_what_was_broken_off_are_swept_away(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    old = {name: store.put(name.encode()) for name in ("needed", "large", "unneeded")}
    fresh = store.put(b"fresh")
    (store.blobs / ".1234.arriving").write_bytes(b"x")
    (store.path / ".removed-x").mkdir()
    for left in (*store.blobs.iterdir(), store.path / ".removed-x"):
        if left.name != fresh:
            os.utime(left, (1.0, 1.0))
    store.create([replace(spec_of("double"), code=old["needed"], payload={"parameters_blob": old["large"]})])
    store.sweep()
    assert {blob.name for blob in store.blobs.iterdir()} == {old["needed"], old["large"], fresh}
    assert not (store.path / ".removed-x").exists()
    assert store.missing([fresh, hashlib.sha256(b"unneeded").hexdigest()]) == [old["unneeded"]]


def test_a_folder_that_somebody_works_in_is_not_removed(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    folder: RunFolder = store.create([spec_of("double")])[0]
    with FolderLock(folder.lock, folder.path, "NO_SUCH_MARK"), pytest.raises(RunError, match="still at work"):
        store.remove(folder.id)
    store.remove(folder.id)
    assert not folder.path.exists()
