"""Runs on a host: whatever dies in between, each ends once, and whoever waits learns what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap
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
from simmate_remote.inventory import Host
from simmate_remote.inventory.host_file import read_host
from simmate_remote.inventory.runtime_folder import runtime_folder
from simmate_remote.session.desk import Desk
from simmate_remote.session.join import join
from simmate_remote.workflows.run_handle import RunHandle
from tests.boxes import Box, assert_nothing_left
from tests.carried import CONVERGE
from tests.hosts import end_session, host_of, session_lasts, session_pid, wait_until
from tests.users import PROGRAM

CODE = """
from pathlib import Path
import os, signal, sys, threading

from simmate_remote import report_progress, workflow
from simmate_remote.workflows.current import current


@workflow
def double(number: int) -> int:
    print("doubling", number)
    return 2 * number


@workflow
def wait(name: str = "go") -> str:
    folder = current().folder
    report_progress(1, 2, "waiting")
    (folder / f"began-{len(list(folder.glob('began-*')))}").touch()
    while not (folder / name).exists():
        if current().cancelled.wait(0.02):
            return "cancelled"
    return "went"


@workflow
def die_first(times: int) -> int:
    folder = current().folder
    number = len(list(folder.glob("attempt-*"))) + 1
    (folder / f"attempt-{number}").touch()
    if number <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@workflow
def large(size: int) -> bytes:
    return b"x" * size


@workflow
def unsendable() -> dict:
    return {"energy": 1.0, "locks": [threading.Lock()]}


@workflow
def stands() -> tuple:
    return str(Path.cwd()), str(Path.home())


@workflow
def not_here() -> object:
    import there_only
    return there_only.Thing()
"""


PROGRAMS = (
    CONVERGE
    + """
import os, signal

from simmate_remote.workflows.current import current


class Counted(ShellTask[int]):
    command = ("sh", "-c", "echo x >> count; sleep 0.2")

    def workup(self, folder: Path) -> int:
        return len((folder / "count").read_text().split())


@workflow
def program_then_death() -> list[object]:
    done = Counted().run()
    folder = current().folder
    if not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return [done, sorted(each.name for each in folder.iterdir())]


@workflow
def sleep() -> int:
    return ShellTask(command="sleep 8712399").run()
"""
)


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "durables.py").write_text(textwrap.dedent(CODE))
    (tmp_path / "durable_programs.py").write_text(textwrap.dedent(PROGRAMS))
    (tmp_path / "there_only.py").write_text("class Thing:\n    pass\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield importlib.import_module("durables")
    for name in ("durables", "durable_programs", "there_only"):
        sys.modules.pop(name, None)


@pytest.fixture
def programs(code: Any) -> Any:
    """Give workflows with programs, which need a package that the lab's host does not have."""
    return importlib.import_module("durable_programs")


DEATHS_LIMIT = 20.0
"""Seconds after a worker's death within which its run goes on: it takes one, and several where all cores are busy."""

embedded = pytest.mark.parametrize("box", ["embedded"], indirect=True)


@contextlib.contextmanager
def desk_of(host: Host) -> Iterator[Desk]:
    desk = Desk(host)
    desk.open()
    try:
        yield desk
    finally:
        desk.close()


def connect(host: Host) -> None:
    """Do what `simmate-remote connect` does."""

    async def connected() -> None:
        (await join(host, lasting=True)).close()

    asyncio.run(connected())


def began(box: Box, handle: RunHandle[Any], number: int = 0) -> bool:
    return box.run(f"test -e {handle.folder}/files/began-{number}").returncode == 0


def go(box: Box, handle: RunHandle[Any]) -> None:
    assert box.run(f"touch {handle.folder}/files/go").returncode == 0


def pids(box: Box, what: str) -> list[int]:
    return [pid for pid, argv in box.processes() if what in " ".join(argv)]


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


def test_a_result_that_cannot_be_sent_is_named_and_the_current_folder_is_the_home(box: Box, code: Any) -> None:
    with desk_of(host_of(box)) as desk:
        with pytest.raises(WorkflowError, match=r"cannot be sent: result\['locks'\]\[0\] is a _thread.lock"):
            code.unsendable.submit(on=desk).result(60)
        here, home = code.stands.submit(on=desk).result(60)
        assert here == home == box.run("echo $HOME").stdout.strip()


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


def test_workers_that_die_are_attempts(box: Box, code: Any) -> None:
    with desk_of(host_of(box)) as desk:
        outcome = code.die_first.submit(on=desk, times=2).outcome(DEATHS_LIMIT)
        assert (outcome.result, outcome.attempts) == (3, 3)


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


def test_what_waits_while_the_link_is_down_comes_when_it_is_back(box: Box, code: Any) -> None:
    with desk_of(host_of(box)) as desk:
        handle = code.wait.submit(on=desk)
        wait_until(lambda: began(box, handle), 20, "it began")
        box.cut()
        go(box, handle)
        assert handle.result(60) == "went"


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import durables
handle = durables.wait.submit(on="lab-box")
print(handle.id, handle.folder, flush=True)
"""


def test_a_run_goes_on_when_its_program_has_ended(box: Box, code: Any, tmp_path: Path) -> None:
    host = read_host(box.inventory(tmp_path / "hosts"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={**os.environ, "SIMMATE_REMOTE_HOSTS": str(tmp_path / "hosts")},
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    run, folder = done.stdout.split()
    with desk_of(host) as desk:
        assert desk.call("status", ids=[run])[run]["state"] in ("queued", "running")
        wait_until(lambda: box.run(f"test -e {folder}/files/began-0").returncode == 0, 20, "it began")
        box.run(f"touch {folder}/files/go")
        assert desk.call("outcome", id=run)["plain"] == "went"
    end_session(host)


@contextlib.contextmanager
def program(text: str, folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run another program of the user's for the time of a block."""
    process = subprocess.Popen(
        [sys.executable, "-c", text, str(folder), *words],
        env={**os.environ, "SIMMATE_REMOTE_HOSTS": str(folder / "hosts")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


OTHER = """
import sys
from simmate_remote.inventory import load_host
from simmate_remote.session.desk import Desk
desk = Desk(load_host("lab-box"))
desk.open()
print(desk.made_session, flush=True)
sys.stdin.read()
desk.close()
"""


@embedded
@pytest.mark.parametrize("ending", ["leaves", "is killed"])
def test_a_run_goes_on_when_the_program_that_made_the_session_ends(
    box: Box, code: Any, tmp_path: Path, ending: str
) -> None:
    """That program has submitted nothing; the one that did has found the session there."""
    host = read_host(box.inventory(tmp_path / "hosts"))
    with program(OTHER, tmp_path) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "True\n"
        with desk_of(host) as desk:
            assert not desk.made_session
            handle = code.wait.submit(on=desk)
            wait_until(lambda: began(box, handle), 20, "it began")
            if ending == "is killed":
                maker.kill()
            maker.communicate(timeout=30)
            wait_until(lambda: session_lasts(host), 20, "the session stays for the run")
            go(box, handle)
            assert handle.result(20) == "went"
            assert desk.ended is None
    end_session(host)


@embedded
@pytest.mark.parametrize("ending", ["leaves", "is killed"])
def test_a_run_of_an_earlier_session_goes_on_when_a_program_that_only_looks_ends(
    box: Box, code: Any, tmp_path: Path, ending: str
) -> None:
    """Everything there had ended in between, so nothing but the run itself says that it is wanted."""
    host = read_host(box.inventory(tmp_path / "hosts"))
    with desk_of(host) as desk:
        handle = code.wait.submit(on=desk)
        wait_until(lambda: began(box, handle), 20, "it began")
        end_session(host)
        with program(OTHER, tmp_path) as maker:
            assert maker.stdout is not None
            assert maker.stdout.readline() == "True\n"
            wait_until(lambda: began(box, handle, 1), 20, "it was begun again")
            if ending == "is killed":
                maker.kill()
            maker.communicate(timeout=30)
        wait_until(lambda: session_lasts(host), 20, "the session stays for the run")
        go(box, handle)
        assert handle.result(20) == "went"
        end_session(host)


@embedded
@pytest.mark.parametrize("ending", ["leaves", "is killed"])
def test_a_session_that_stays_for_a_run_ends_with_it(box: Box, code: Any, tmp_path: Path, ending: str) -> None:
    box.inventory(tmp_path / "hosts")
    with program(f"{SCRIPT}sys.stdin.read()\n", tmp_path) as maker:
        assert maker.stdout is not None
        run, folder = maker.stdout.readline().split()
        wait_until(lambda: box.run(f"test -e {folder}/files/began-0").returncode == 0, 20, "it began")
        if ending == "is killed":
            maker.kill()
        maker.communicate(timeout=30)
    assert box.processes()
    box.run(f"touch {folder}/files/go")
    wait_until(lambda: not list(runtime_folder().glob("*.sock")), 30, "the session ended")
    assert_nothing_left(box)
    listed = subprocess.run([PROGRAM, "runs", "--json"], capture_output=True, check=True)
    assert [(each["id"], each["state"]) for each in json.loads(listed.stdout)] == [(run, "finished")]


CLUSTER = """
import sys
sys.path.insert(0, sys.argv[1])
import durables
from simmate_remote import RemoteCluster
from simmate_remote.inventory import load_host
from simmate_remote.session.desk import Desk
with RemoteCluster("lab-box") as cluster:
    desk = Desk(load_host("lab-box"))
    desk.open()
    assert not desk.made_session
    handle = getattr(durables, sys.argv[2]).submit(on=desk, **({"number": 2} if sys.argv[2] == "double" else {}))
    if sys.argv[2] == "double":
        assert handle.result() == 4
    desk.close()
print(handle.id)
"""


@embedded
@pytest.mark.parametrize("workflow", ["double", "wait"])
def test_what_a_cluster_was_made_for_ends_with_it_unless_a_run_is_unfinished(
    box: Box, code: Any, tmp_path: Path, workflow: str
) -> None:
    host = read_host(box.inventory(tmp_path / "hosts"))
    with program(CLUSTER, tmp_path, workflow) as made:
        run = made.communicate(timeout=50)[0].strip()
    assert made.returncode == 0
    if workflow == "double":
        assert_nothing_left(box)
        return
    with desk_of(host) as desk:
        standing = desk.call("status", ids=[run])[run]
        assert standing["state"] in ("queued", "running")
        assert standing["attempt"] <= 1  # it was not begun again
    end_session(host)


@embedded
def test_a_cancelled_run_ends_its_programs(box: Box, programs: Any) -> None:
    with desk_of(host_of(box)) as desk:
        handle = programs.sleep.submit(on=desk)
        wait_until(lambda: bool(pids(box, "8712399")), 20, "its program runs")
        handle.cancel()
        wait_until(lambda: not pids(box, "8712399"), 20, "its program ended")
