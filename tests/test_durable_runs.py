"""Runs on a host: whatever dies in between, each ends once, and whoever waits learns what became of it."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.errors import (
    KeeperGoneError,
    NoSessionError,
    RunCancelledError,
    SchedulerError,
    SessionStoppedError,
    WorkflowError,
)
from tests.boxes import Box
from tests.durables import began, connect, desk_of, durables, go, pids
from tests.hosts import end_session, host_of, session_pid, wait_until

DEATHS_LIMIT = 20.0
"""Seconds after a worker's death within which its run goes on: it takes one, and several where all cores are busy."""

embedded = pytest.mark.parametrize("box", ["embedded"], indirect=True)


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with durables(tmp_path, monkeypatch) as module:
        yield module


@pytest.fixture
def programs(code: Any) -> Any:
    """Give workflows with programs, which need a package that the lab's host does not have."""
    return importlib.import_module("durable_programs")


@pytest.mark.slow_in_the_lab
def test_runs_and_what_their_handles_know(box: Box, code: Any, tmp_path: Path) -> None:
    host = host_of(box)
    with desk_of(host) as desk:
        handles = code.double.map([{"number": number} for number in range(5)], on=desk)
        assert [handle.result(60) for handle in handles] == [0, 2, 4, 6, 8]
        assert handles[3].logs() == "doubling 3\n"
        assert {handle.folder for handle in handles} == {f"{Path(handles[0].folder).parent}/{h.id}" for h in handles}
        assert code.large.submit(on=desk, size=1_000_000).result(60) == b"x" * 1_000_000
        waits = code.wait.submit(on=desk)
        wait_until(lambda: began(box, waits), 20, "it began")
        wait_until(lambda: bool(waits.progress.text == "waiting"), 10, "its progress came")
        assert waits.status == "running"
        assert waits.files.sizes() == {"began-0": 0}
        assert waits.files.fetch(tmp_path / "copies", "began-*").tally.files == 1
        assert [path.name for path in (tmp_path / "copies").iterdir()] == ["began-0"]
        with pytest.raises(TimeoutError, match="it goes on"):
            waits.outcome(0.01)
        waits.cancel()
        for _ in range(2):
            with pytest.raises(RunCancelledError):
                waits.result(30)
        assert waits.status == "cancelled"
    wait_until(lambda: not box.processes(), 20, "everything on the host ended, since nothing was unfinished")


@pytest.mark.slow
def test_a_result_that_cannot_be_sent_is_named_and_the_current_folder_is_the_home(box: Box, code: Any) -> None:
    with desk_of(host_of(box)) as desk:
        with pytest.raises(WorkflowError, match=r"cannot be sent: result\['locks'\]\[0\] is a _thread.lock"):
            code.unsendable.submit(on=desk).result(60)
        here, home = code.stands.submit(on=desk).result(60)
        assert here == home == box.run("echo $HOME").stdout.strip()


@pytest.mark.slow
def test_a_result_that_cannot_be_understood_here_is_kept_and_named(
    box: Box, code: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk_of(host_of(box)) as desk:
        handle = code.not_here.submit(on=desk)
        (tmp_path / "there_only.py").unlink()
        sys.modules.pop("there_only", None)
        importlib.invalidate_caches()
        with pytest.raises(WorkflowError, match="cannot be understood here") as caught:
            handle.result(60)
        assert handle.folder in str(caught.value)
        assert box.run(f"test -s {handle.folder}/outcome.json").returncode == 0


@pytest.mark.parametrize("what", ["scheduler", "guardian", "session"])
@pytest.mark.slow
def test_a_run_survives_the_death_of_what_it_needs(box: Box, code: Any, what: str) -> None:
    host = host_of(box)
    with desk_of(host) as desk:
        handle = code.wait.submit(on=desk)
        wait_until(lambda: began(box, handle), 20, "it began")
        if what == "session":
            os.kill(session_pid(host), signal.SIGKILL)
        else:
            for pid in [desk.call("describe")["pid"]] if what == "scheduler" else pids(box, what):
                with contextlib.suppress(ProcessLookupError):  # the first one's end was that of the others
                    box.kill(pid, signal.SIGKILL)
        kinds = {"scheduler": SchedulerError, "guardian": KeeperGoneError, "session": SessionStoppedError}
        with pytest.raises(kinds[what], match="is not lost") as caught:
            handle.result(30)
        assert "simmate-remote connect lab-box" in str(caught.value)
        if what != "session":
            wait_until(lambda: not box.processes(), 20, "everything on the host ended")
            with pytest.raises(NoSessionError):
                handle.result(1)
        connect(host)
        number = int(what != "session")
        wait_until(lambda: began(box, handle, number), 20, "it goes on, or began again")
        go(box, handle)
        outcome = handle.outcome(30)
        assert (outcome.result, outcome.attempts) == ("went", number + 1)
    end_session(host)


@pytest.mark.slow
def test_an_end_of_everything_costs_one_attempt(box: Box, code: Any) -> None:
    host = host_of(box)
    with desk_of(host) as desk:
        handle = code.wait.submit(on=desk)
        wait_until(lambda: began(box, handle), 20, "it began")
        # The other worker would take it over if it lived longer than this one, and had a scheduler.
        busy = desk.call("status", ids=[handle.id])[handle.id]["worker"]
        (idle,) = [pid for name in {"worker-0", "worker-1"} - {busy} for pid in pids(box, f"nanny of {name}")]
        box.kill(idle, signal.SIGSTOP)
        end_session(host)
        wait_until(lambda: not box.processes(), 30, "everything on the host ended")
        connect(host)
        wait_until(lambda: began(box, handle, 1), 20, "it began again")
        go(box, handle)
        assert handle.outcome(30).attempts == 2
    end_session(host)


@pytest.mark.slow_in_the_lab
def test_workers_that_die_are_attempts(box: Box, code: Any) -> None:
    with desk_of(host_of(box)) as desk:
        outcome = code.die_first.submit(on=desk, times=2).outcome(DEATHS_LIMIT)
        assert (outcome.result, outcome.attempts) == (3, 3)


@pytest.mark.slow_in_the_lab
def test_a_run_whose_worker_is_killed_twice_is_begun_again_twice(box: Box, code: Any) -> None:
    with desk_of(host_of(box)) as desk:
        handle = code.wait.submit(on=desk)
        for number in range(2):
            wait_until(lambda: began(box, handle, number), DEATHS_LIMIT, "it began")  # noqa: B023
            attempt = json.loads(box.run(f"cat {handle.folder}/attempt.{number + 1}.json").stdout)
            box.kill(attempt["pid"], signal.SIGKILL)
        wait_until(lambda: began(box, handle, 2), DEATHS_LIMIT, "it began for the third time")
        go(box, handle)
        outcome = handle.outcome(DEATHS_LIMIT)
        assert (outcome.result, outcome.attempts) == ("went", 3)


@embedded
def test_a_second_attempt_finds_what_the_first_has_finished(box: Box, programs: Any) -> None:
    with desk_of(host_of(box)) as desk:
        outcome = programs.program_then_death.submit(on=desk).outcome(60)
        assert (outcome.result, outcome.attempts) == ([1, ["counted-1", "died"]], 2)


@embedded
def test_corrections_are_told_in_the_journal_once_each(box: Box, programs: Any) -> None:
    with desk_of(host_of(box)) as desk:
        handle = programs.converge.submit(on=desk)
        handle.result(60)
        journal = box.run(f"cat {Path(handle.folder).parent}/journal").stdout
        lines = [json.loads(line) for line in journal.splitlines()[1:]]
        corrected = [line for line in lines if line["event"] == "corrected"]
        assert [(line["seen"], line["done"]) for line in corrected] == [(["not converged"], ["one step more"])] * 2


@pytest.mark.slow_in_the_lab
def test_what_waits_while_the_link_is_down_comes_when_it_is_back(box: Box, code: Any) -> None:
    with desk_of(host_of(box)) as desk:
        handle = code.wait.submit(on=desk)
        wait_until(lambda: began(box, handle), 20, "it began")
        box.cut()
        go(box, handle)
        assert handle.result(60) == "went"


@embedded
def test_a_cancelled_run_ends_its_programs(box: Box, programs: Any) -> None:
    with desk_of(host_of(box)) as desk:
        handle = programs.sleep.submit(on=desk)
        wait_until(lambda: bool(pids(box, "8712399")), 20, "its program runs")
        handle.cancel()
        wait_until(lambda: not pids(box, "8712399"), 20, "its program ended")
