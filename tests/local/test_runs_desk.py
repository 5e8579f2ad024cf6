"""The desk with a scheduler and workers of its own: every run ends once, is told once, and is never lost."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Nanny, Scheduler, Worker

from simmate_remote.errors import FolderFullError, RunDamagedError, RunError, RunNotFoundError, RunsUnavailableError
from simmate_remote.runs.host import durable, service
from simmate_remote.runs.host.outcome import RunOutcome
from simmate_remote.runs.host.store import RunStore
from simmate_remote.runs.identity import new_id
from tests.desk_program import lives
from tests.desks import LOCAL, PRELOAD, Desk, open_desk, spec_of, until


@pytest.fixture
def place(user_folders: Path) -> Path:
    return user_folders / "data"


async def test_a_run_from_its_creation_to_its_result(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        folder = await desk.begin("double", number=21)
        assert folder.spec().payload["with"] == {"number": 21}
        ending = await desk.ending(folder)
        assert (ending["state"], ending["plain"], ending["attempt"]) == ("finished", 42, 1)
        assert pickle.loads(base64.b64decode(ending["result"])) == 42
        assert await desk.told(folder) == ["created", "started", "finished"]
        assert folder.attempt(1)["worker"] == ending["worker"]
        assert (await desk.call("status", ids=[folder.id]))[folder.id]["state"] == "finished"
        # A second creation, as after an answer that never came, changes nothing.
        again = await desk.call("create", runs=[folder.spec().as_dict()], blobs=[])
        assert again == {"missing": [], "folders": {folder.id: str(folder.path)}}
        assert await desk.told(folder) == ["created", "started", "finished"]
        assert (await desk.call("describe"))["unfinished"] == 0


async def test_a_run_that_fails_says_with_what(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        ending = await desk.ending(await desk.begin("fail"))
        assert (ending["state"], ending["error"]["type"], ending["error"]["text"]) == (
            "failed", "ValueError", "it failed",
        )  # fmt: skip


async def test_many_end_as_they_do_and_each_is_told_once(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        specs = [spec_of("double", number=number) for number in range(60)]
        await desk.call("create", runs=[each.as_dict() for each in specs], blobs=[])
        told = [item["run"] async for item in desk.items("outcomes", ids=[each.id for each in specs])]
        assert sorted(told) == sorted(each.id for each in specs)
        events = [(line["run"], line["event"]) for line in await desk.lines()]
        assert len(events) == len(set(events)) == 3 * 60


async def test_a_large_result_is_fetched_part_by_part(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        folder = await desk.begin("large", size=3_000_000)
        ending = await desk.ending(folder)
        assert ending["result"] is None
        content = b""
        while True:
            part = await desk.call("read", id=folder.id, path=ending["file"], offset=len(content), length=1 << 20)
            content += base64.b64decode(part["data"])
            if len(content) == part["size"]:
                break
        assert len(content) == ending["size"]
        assert len(pickle.loads(content)) == 3_000_000


@pytest.mark.parametrize("path", ["../journal", "/etc/passwd", "link", "pipe", "", "none", "a\0b", "x" * 5000])
async def test_nothing_outside_of_a_runs_folder_is_read(place: Path, path: str) -> None:
    async with open_desk(place) as (desk, _):
        folder = await desk.begin("double", number=1)
        await desk.ending(folder)
        (folder.path / "link").symlink_to("/etc/passwd")
        os.mkfifo(folder.path / "pipe")
        with pytest.raises(RunNotFoundError, match="no file"):
            await desk.call("read", id=folder.id, path=path, offset=0, length=10)


async def test_a_run_that_has_not_begun_is_cancelled(place: Path) -> None:
    async with open_desk(place, worker=None) as (desk, scheduler):
        folder = await desk.begin("double", number=1)
        assert await desk.call("cancel", id=folder.id) == "cancelled"
        assert (await desk.ending(folder))["state"] == "cancelled"
        async with Worker(scheduler.address, **LOCAL):
            assert (await desk.ending(await desk.begin("double", number=2)))["plain"] == 4
        assert await desk.told(folder) == ["created", "cancelled"]
        assert folder.attempts() == 0


async def test_a_run_that_is_at_work_is_cancelled_and_hears_of_it(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        folder = await desk.begin("wait")
        await until(lambda: desk.runs(folder))
        assert await desk.call("cancel", id=folder.id) == "cancelled"
        await until((folder.files / "heard").exists)
        ending = await desk.ending(folder)
        assert ending["state"] == "cancelled"
        assert ending["seconds"] > 0
        assert await desk.call("cancel", id=folder.id) == "cancelled"
        assert await desk.told(folder) == ["created", "started", "cancelled"]


async def test_what_has_ended_is_not_cancelled(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        folder = await desk.begin("double", number=1)
        await desk.ending(folder)
        assert await desk.call("cancel", id=folder.id) == "finished"
        with pytest.raises(RunNotFoundError):
            await desk.call("cancel", id=new_id())


async def test_a_cancelled_run_is_started_again_and_its_dead_attempt_does_not_end_it(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        folder = await desk.begin("wait")
        await until((folder.files / "began").exists)
        await desk.call("cancel", id=folder.id)
        await asyncio.gather(*(desk.call("restart", id=folder.id) for _ in range(3)))
        (folder.files / "go").touch()
        ending = await desk.ending(folder)
        assert (ending["state"], ending["attempt"]) == ("finished", 2)
        assert (await desk.told(folder)).count("restarted") == 1
        with pytest.raises(RunError, match="finished"):
            await desk.call("restart", id=folder.id)


async def test_a_restart_that_a_desk_could_not_tell_of_is_done_by_the_next_one(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        folder, stays = await desk.begin("fail"), await desk.begin("fail")
        assert (await desk.ending(folder))["state"] == (await desk.ending(stays))["state"] == "failed"
        await desk.told(folder)
    folder.begin_round(1)
    async with open_desk(place) as (desk, _):
        assert (await desk.ending(folder))["attempt"] == 2
        assert await desk.told(folder) == ["created", "started", "failed", "restarted", "started", "failed"]
    async with open_desk(place) as (desk, _):
        assert (await desk.call("describe"))["unfinished"] == 0
        assert (await desk.told(stays)) == ["created", "started", "failed"]


async def test_progress_is_told_to_whoever_listens_late(place: Path) -> None:
    async with open_desk(place) as (desk, scheduler):
        folder = await desk.begin("wait")
        await until((folder.files / "began").exists)
        await until(lambda: desk.runs(folder))
        scheduler.log_event("simmate-remote-runs", {"run": folder.id, "added": {"part": 3}})
        scheduler.log_event("simmate-remote-runs", {"run": folder.id, "key": folder.id, "done": 1.0, "total": 2.0})
        seen = []
        async for item in desk.items("events", ids=[folder.id]):
            if item.get("begun"):
                break
            seen.append(item)
        assert seen[0]["status"]["state"] == "running"
        assert seen[0]["status"]["done"] == 1.0
        assert [item["report"].get("added") for item in seen[1:]] == [{"part": 3}, None]
        (folder.files / "go").touch()
        await desk.ending(folder)


async def test_a_worker_that_dies_interrupts_its_run_and_what_it_left_is_ended(place: Path) -> None:
    async with open_desk(place, worker=Nanny) as (desk, _):
        folder = await desk.begin("die", times=1, leave=True)
        ending = await desk.ending(folder)
        assert (ending["state"], ending["plain"]) == ("finished", 2)
        assert await desk.told(folder) == ["created", "started", "interrupted", "started", "finished"]
        assert not lives(int((folder.files / "left").read_text()))


async def test_a_run_that_kills_every_worker_is_given_up_after_its_limit(place: Path) -> None:
    async with open_desk(place, worker=Nanny) as (desk, _):
        folder = await desk.begin("die", attempts=3, times=99)
        ending = await desk.ending(folder)
        assert (ending["state"], ending["error"]["type"], ending["attempt"]) == ("failed", "RunInterruptedError", 3)
        told = await desk.told(folder)
        assert (told.count("started"), told.count("interrupted"), told[-1]) == (3, 3, "failed")


async def test_the_next_desk_goes_on_where_this_one_ended(place: Path) -> None:
    async with open_desk(place, worker=None) as (desk, _):
        waiting = await desk.begin("double", number=4)
        told, untold, cut, marked = [await desk.begin("double", number=5) for _ in range(4)]
        assert told.write_outcome(RunOutcome(told.id, "finished", 1, plain=10), 0)
    # What follows is what dead workers and a killed desk leave.
    untold.note_attempt(1, {"attempt": 1, "worker": "w", "node": "n", "pid": 1})
    untold.write_outcome(RunOutcome(untold.id, "finished", 1, plain=11), 0)
    cut.note_attempt(1, {"attempt": 1, "worker": "w", "node": "n", "pid": 1})
    (cut.path / "outcome.json").write_text('{"run": ')
    marked.cancel(0)
    never_told = RunStore(place / "runs").create([spec_of("double", number=6)])[0]
    async with open_desk(place) as (desk, _):
        endings = {each.id: await desk.ending(each) for each in (waiting, told, untold, cut, marked, never_told)}
        assert [endings[each.id]["plain"] for each in (waiting, told, untold, cut, never_told)] == [8, 10, 11, 10, 12]
        assert endings[marked.id]["state"] == "cancelled"
        assert [endings[each.id]["attempt"] for each in (told, untold, cut)] == [1, 1, 2]
        assert await desk.told(untold) == ["created", "started", "finished"]
        assert await desk.told(cut) == ["created", "started", "interrupted", "started", "finished"]
        assert await desk.told(marked) == ["created", "cancelled"]
        assert await desk.told(never_told) == ["created", "started", "finished"]
    async with open_desk(place, worker=None) as (desk, _):
        assert (await desk.call("describe"))["unfinished"] == 0
        assert len(await desk.lines()) == len({json.dumps(line) for line in await desk.lines()})


async def test_an_outcome_that_was_told_and_then_cut_short_is_named_and_not_run_again(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        folder = await desk.begin("double", number=4)
        await desk.ending(folder)
        assert await desk.told(folder) == ["created", "started", "finished"]
    (folder.path / "outcome.json").write_text('{"run": ')
    async with open_desk(place) as (desk, _):
        ending = await desk.ending(folder)
        assert (ending["state"], ending["error"]["type"]) == ("failed", RunDamagedError.__name__)
        assert folder.attempts() == 1


async def test_a_folder_that_is_removed_while_it_runs_is_named(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        folder = await desk.begin("remove")
        ending = await desk.ending(folder)
        assert (ending["state"], ending["error"]["type"]) == ("failed", RunNotFoundError.__name__)
        assert await desk.told(folder) == ["created", "started", "failed"]
        assert await desk.call("status", ids=[folder.id]) == {}


async def test_tasks_that_somebody_makes_the_scheduler_forget_are_begun_again(place: Path) -> None:
    async with open_desk(place, worker=None) as (desk, scheduler):
        folder = await desk.begin("double", number=3)
        await until(lambda: len(scheduler.tasks) == 1)
        mine = next(name for name in scheduler.clients if "desk" in name)
        scheduler.client_releases_keys(keys=list(scheduler.tasks), client=mine, stimulus_id="test")
        async with Worker(scheduler.address, **LOCAL):
            assert (await desk.ending(folder))["plain"] == 6


async def test_a_full_disk_refuses_what_is_new(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_desk(place) as (desk, _):
        first = await desk.begin("double", number=3)
        await desk.ending(first)

        def full(*_: Any, **__: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(durable, "write_all", full)
            with pytest.raises(FolderFullError, match="no space"):
                await desk.begin("double", number=4)
        assert list(desk.store.ids()) == [first.id]
        assert (await desk.ending(await desk.begin("double", number=4)))["plain"] == 8


async def test_a_run_is_removed_when_it_has_ended(place: Path) -> None:
    async with open_desk(place) as (desk, _):
        folder = await desk.begin("wait")
        with pytest.raises(RunError, match="not ended"):
            await desk.call("remove", id=folder.id)
        (folder.files / "go").touch()
        await desk.ending(folder)
        await desk.call("remove", id=folder.id)
        assert not folder.path.exists()
        assert (await desk.told(folder))[-1] == "removed"
        assert await desk.call("status", ids=[folder.id]) == {}


async def test_blobs_come_in_parts_and_are_verified(place: Path) -> None:
    async with open_desk(place, worker=None) as (desk, _):
        content = os.urandom(100)
        digest = hashlib.sha256(content).hexdigest()
        run = spec_of("double", number=1)
        answer = await desk.call("create", runs=[run.as_dict()], blobs=[digest])
        assert answer == {"missing": [digest], "folders": {}}
        assert not (place / run.id).exists()
        for offset in (0, 60):
            data = base64.b64encode(content[offset : offset + 60]).decode()
            await desk.call("put", digest=digest, offset=offset, data=data, size=100)
        answer = await desk.call("create", runs=[run.as_dict()], blobs=[digest])
        assert (answer["missing"], list(answer["folders"])) == ([], [run.id])
        with pytest.raises(RunDamagedError, match="something else"):
            await desk.call("put", digest="0" * 64, offset=0, data="", size=0)


async def test_the_socket_is_its_owners_and_nobody_asks_for_foreign_functions(place: Path) -> None:
    async with open_desk(place, worker=None) as (desk, _):
        assert (place / "desk").stat().st_mode & 0o077 == 0
        with pytest.raises(RunError, match="no function of this package"):
            await desk.call("ask", function="os:system", arguments=["true"])
        name = "simmate_remote.workflows.fingerprints:fingerprints"
        assert await desk.call("ask", function=name, arguments=[["simmate_remote_none"]]) == [
            {"simmate_remote_none": None}
        ]


@pytest.fixture(params=["locks", "no locks"])
def flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a file system with locks, and one without."""
    if request.param == "no locks":
        without_locks(monkeypatch)


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("flock")
async def test_of_two_desks_one_waits(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PATIENCE", 0.3)
    async with contextlib.AsyncExitStack() as later:
        async with open_desk(place) as (desk, _):
            folder = await desk.begin("double", number=3)
            await desk.ending(folder)
            second = {"folder": str(place / "runs"), "socket": str(place / "other")}
            with dask.config.set({**PRELOAD, "simmate-remote.desk": second}):
                await later.enter_async_context(Scheduler(port=0, **LOCAL))
            other = Desk(place / "runs")
            later.callback(other.close)
            await asyncio.get_running_loop().create_unix_connection(lambda: other, second["socket"])
            with pytest.raises(RunsUnavailableError, match="another scheduler keeps the runs in"):
                await asyncio.wait_for(other.call("describe"), 20)

        async def has_taken_over() -> bool:
            with contextlib.suppress(RunsUnavailableError):
                return bool((await other.call("describe"))["end"])
            return False

        await until(has_taken_over)
        assert await other.told(folder) == ["created", "started", "finished"]


async def test_without_locks_a_desk_of_another_machine_lives_as_long_as_it_touches_its_file(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch)
    monkeypatch.setattr(service, "PATIENCE", 0.3)
    lock = RunStore(place / "runs").lock
    lock.write_text(json.dumps({"host": "login-7", "pid": 8, "since": 1.0, "mark": "x"}))
    async with open_desk(place) as (desk, _):
        with pytest.raises(RunsUnavailableError, match="process 8 on login-7") as caught:
            await asyncio.wait_for(desk.call("describe"), 20)
        assert caught.value.since == pytest.approx(1.0, abs=1)  # clocks may differ: what travels is its age
        os.utime(lock, (1.0, 1.0))
        await until(lambda: json.loads(lock.read_text() or "{}").get("pid") == os.getpid())
        ending = await desk.ending(await desk.begin("double", number=4))
        assert ending["plain"] == 8
    assert lock.read_text() == ""
