"""Folders of runs: what is in them is whole, and the first outcome stays."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from simmate_remote.errors import RunDamagedError, RunNotFoundError
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.outcome import RunOutcome, packed
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.host.store import RunStore
from simmate_remote.runs.identity import new_id


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def made(store: RunStore) -> RunFolder:
    return store.create([Spec(new_id(), "relax", parameters={"steps": 3}, payload={"module": "relaxing"})])[0]


def test_a_spec_is_read_as_it_was_written_and_a_second_time_is_no_error(store: RunStore) -> None:
    specs = [Spec(new_id(), f"relax-{number}", created=1.5, versions={"dask": "1"}) for number in range(3)]
    for _ in range(2):
        assert [folder.spec() for folder in store.create(specs)] == specs
    assert sorted(store.ids()) == [spec.id for spec in specs]
    with pytest.raises(RunDamagedError, match="another run"):
        store.create([Spec(specs[0].id, "something else")])
    assert store.run(specs[0].id).spec() == specs[0]


def test_the_first_outcome_stays_whoever_writes_at_the_same_time(store: RunStore) -> None:
    folder = made(store)
    won: list[int] = []
    begin = threading.Barrier(8)

    def write(number: int) -> None:
        begin.wait()
        if folder.write_outcome(RunOutcome(folder.id, "finished", attempt=number), 0):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome = folder.outcome(0)
    assert outcome is not None
    assert won == [outcome.attempt]
    assert sorted(os.listdir(folder.path)) == ["outcome.json", "spec.json"]


def test_an_attempt_of_an_earlier_round_does_not_end_a_later_one(store: RunStore) -> None:
    folder = made(store)
    folder.cancel(0)
    assert folder.write_outcome(RunOutcome(folder.id, "cancelled"), 0)
    assert folder.begin_round(1)
    assert not folder.begin_round(1)
    assert (folder.round(), folder.outcome(1), folder.is_cancelled(1)) == (1, None, False)
    assert not folder.write_outcome(RunOutcome(folder.id, "finished"), 0)
    assert folder.write_outcome(RunOutcome(folder.id, "failed"), 1)
    outcomes = [folder.outcome(number) for number in (0, 1)]
    assert [each.state for each in outcomes if each] == ["cancelled", "failed"]


@pytest.mark.parametrize("keep", [0, 1, 50, -1, -2])
def test_an_outcome_that_is_cut_short_is_known_as_such(store: RunStore, keep: int) -> None:
    folder = made(store)
    folder.write_outcome(RunOutcome(folder.id, "finished", **packed(b"result", "")), 0)
    file = folder.path / "outcome.json"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(RunDamagedError, match="cut short") as caught:
        folder.outcome(0)
    assert caught.value.folder == str(folder.path)
    folder.set_aside(0)
    assert folder.outcome(0) is None
    assert (folder.path / "damaged.outcome.json").exists()


def test_a_large_result_is_a_file_and_one_that_was_cut_short_is_written_again(store: RunStore) -> None:
    folder = made(store)
    large = os.urandom(400_000)
    (folder.path / "result.pickle").write_bytes(large[:1000])
    about = packed(large, "result.pickle")
    assert about["result"] is None
    assert folder.write_outcome(RunOutcome(folder.id, "finished", **about), 0, large)
    assert (folder.path / folder.result_name(0)).read_bytes() == large


def test_attempts_are_counted_and_described(store: RunStore) -> None:
    folder = made(store)
    assert folder.attempts() == 0
    folder.note_attempt(1, {"worker": "worker-0", "began": 1.0})
    folder.note_attempt(2, {"worker": "worker-1"})
    assert folder.attempts() == 2
    assert folder.attempt(1)["began"] == 1.0
    assert folder.attempt(3) == {}


@pytest.mark.parametrize("text", ["..", "../x", "/etc", "", "blobs"])
def test_nothing_but_an_id_leads_to_a_folder(store: RunStore, text: str) -> None:
    with pytest.raises(RunNotFoundError):
        store.run(text)
    with pytest.raises(RunNotFoundError):
        store.blob(text)


def test_a_spec_that_is_gone_cut_short_or_of_a_later_version_is_named(store: RunStore) -> None:
    folder = made(store)
    file = folder.path / "spec.json"
    content = file.read_text()
    for damaged, words in ((content[:20], "cut short"), (content.replace('"version": 1', '"version": 7'), "another")):
        file.write_text(damaged)
        with pytest.raises(RunDamagedError, match=words):
            folder.spec()
    file.unlink()
    with pytest.raises(RunNotFoundError, match="gone"):
        folder.spec()


def test_blobs_are_known_by_their_content(store: RunStore) -> None:
    digest = store.put(b"code")
    assert store.put(b"code") == digest
    assert store.get(digest) == b"code"
    store.blob(digest).write_bytes(b"changed")
    with pytest.raises(RunDamagedError):
        store.get(digest)


def test_where_the_disk_is_full_nothing_of_the_new_runs_is_left(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = made(store)
    specs = [old.spec(), *(Spec(new_id(), "relax") for _ in range(3))]
    write, left = os.write, [2]

    def full(fd: int, data: bytes) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="space"):
        store.create(specs)
    assert list(store.ids()) == [old.id]
    assert os.listdir(old.path) == ["spec.json"]


def test_where_one_run_of_a_batch_is_refused_nothing_of_the_others_is_left_for_the_next_desk(store: RunStore) -> None:
    old = made(store)
    with pytest.raises(RunDamagedError, match="another run"):
        store.create([Spec(new_id(), "relax"), Spec(old.id, "something else"), Spec(new_id(), "relax")])
    assert list(store.ids()) == [old.id]
    assert old.spec().workflow == "relax"
