"""Tasks on a host, over a session: with code of one's own that travels, and nothing left when the session has ended."""

from __future__ import annotations

import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from simmate_remote import RemoteCluster
from simmate_remote.errors import (
    CommandNotFoundError,
    CorrectionsExhaustedError,
    CorrectionsUndoneError,
    FolderNotEmptyError,
    HandlerError,
    ProgramFailedError,
    WorkflowError,
)
from simmate_remote.workflows.running import run_target
from simmate_remote.workflows.target import load_target
from tests.boxes import Box, assert_nothing_left
from tests.hosts import host_of, travels, wait_until

# The lab's environment, in which tasks can run, is made by the first test that needs it.
pytestmark = pytest.mark.timeout(300)

CODE = """
    from pathlib import Path

    from simmate_remote.workflows import Resources, ShellTask

    class MoreSteps:
        is_monitor = False

        def check(self, directory="./"):
            return "not converged" in Path(directory, "stdout.txt").read_text()

        def correct(self, directory="./"):
            steps = Path(directory, "steps")
            steps.write_text(str(int(steps.read_text()) * 10))
            return {"errors": ["not converged"], "actions": ["more steps"]}

    class TenSteps(MoreSteps):
        def check(self, directory="./"):
            return "converged in 1." in Path(directory, "stdout.txt").read_text()

    class OneStep(MoreSteps):
        def check(self, directory="./"):
            return "converged in 10." in Path(directory, "stdout.txt").read_text()

        def correct(self, directory="./"):
            Path(directory, "steps").write_text("1")
            return {"errors": ["too many"], "actions": ["one step"]}

    class Broken(MoreSteps):
        def correct(self, directory="./"):
            raise KeyError("no such card")

    class Scf(ShellTask[float]):
        command = ("sh", "scf.sh")
        # The host may be this machine: what runs there is no business of other tests.
        resources = Resources(shared=True)
        handlers = (MoreSteps(),)
        max_corrections = 2

        def setup(self, folder: Path, needed: int) -> None:
            (folder / "steps").write_text("1")
            (folder / "scf.sh").write_text(
                f"if [ $(cat steps) -lt {needed} ]; then echo not converged in $(cat steps).; exit 2; fi; echo -15.5"
            )

        def workup(self, folder: Path) -> float:
            return float((folder / "stdout.txt").read_text())

    def energy(folder: str, needed: int = 50, handlers: str = "MoreSteps"):
        declared = tuple(globals()[name]() for name in handlers.split())
        return Scf(handlers=declared, max_corrections=2 if handlers == "MoreSteps" else 9).run(folder, needed=needed)

    def attempts(folder: str) -> tuple:
        from simmate_remote.workflows.shell.record import read_record

        record = read_record(Path(folder))
        return record.task, len(record.attempts)

    def program(folder: str, command: list[str]):
        task = ShellTask(command=command, resources=Resources(shared=True))
        task.run(folder)
        return [Path(folder, name).stat().st_size for name in ("stdout.txt", "stderr.txt")]

    def talkative(folder: str, size: int, code: int = 0) -> tuple:
        import resource

        script = f"head -c {size} /dev/zero & head -c {size} /dev/zero >&2; wait; echo the end >&2; exit {code}"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ShellTask(command=("sh", "-c", script), resources=Resources(shared=True)).run(folder)
        sizes = [Path(folder, name).stat().st_size for name in ("stdout.txt", "stderr.txt")]
        return sizes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    def anything(value, size: int = 0) -> bytes:
        return bytes(size)
"""


@pytest.fixture
def client(box: Box, request: pytest.FixtureRequest) -> Iterator[Client]:
    """Give the client of a host on which tasks can run."""
    python = box.python
    if box.name == "lab":
        from tests.lab.environments import PACKAGES, same_as_here

        lab = request.getfixturevalue("lab")
        python = str(lab.environment(*same_as_here([*PACKAGES, "pydantic", "platformdirs", "PyYAML"])))
    with RemoteCluster(host_of(box, python=python)) as cluster, Client(cluster) as client:
        yield client
    assert_nothing_left(box)


@pytest.fixture
def place(box: Box) -> Iterator[str]:
    """Give a folder on the host."""
    folder = f"{box.home}/tasks"
    box.run(f"mkdir {folder}")
    yield folder
    box.run(f"rm -r {folder}")


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a module of one's own."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "scfcode.py"
    path.write_text(textwrap.dedent(CODE))
    yield path
    # Another test's file of the same name would get another one as long as this is imported.
    sys.modules.pop("scfcode", None)


@pytest.mark.slow_in_the_lab
def test_a_task_of_ones_own_runs_on_a_host(code: Path, client: Client, box: Box, place: str) -> None:
    energy = load_target(f"{code}:energy")
    assert run_target(energy, {"folder": f"{place}/a"}, client).get() == -15.5
    # The same name wherever it runs, so that the folder can be gone on with anywhere.
    attempts = run_target(load_target(f"{code}:attempts"), {"folder": f"{place}/a"}, client).get()
    assert attempts == ("scfcode:Scf", 3)

    future = client.submit(sleep_forever, f"{place}/b")
    wait_until(lambda: is_there(box, "8712345"), 20, "the program runs")
    client.cluster.close()
    wait_until(lambda: not is_there(box, "8712345"), 20, "the program has ended with the session")
    del future


@travels
def sleep_forever(folder: str) -> None:
    from simmate_remote.workflows import Resources, ShellTask

    # Without slots: the host's are those of this machine's user, and the worker is killed with what it holds.
    ShellTask(command="sleep 8712345", resources=Resources(shared=True)).run(folder)


def is_there(box: Box, word: str) -> bool:
    return any(word in words for _, words in box.processes())


@pytest.mark.slow_in_the_lab
def test_all_that_can_be_bad_is_told_as_it_is_here(code: Path, client: Client, box: Box, place: str) -> None:
    energy, program = load_target(f"{code}:energy"), load_target(f"{code}:program")

    def fails(kind: type[Exception], words: str, target: Any, folder: str, **parameters: Any) -> Any:
        error = run_target(target, {"folder": f"{place}/{folder}", **parameters}, client).error
        assert type(error) is kind, error
        assert words in str(error)
        return error

    fails(CommandNotFoundError, "no-such-program", program, "a", command=["no-such-program"])
    fails(ProgramFailedError, "ended by SIGSEGV", program, "b", command=["sh", "-c", "kill -SEGV $$"])
    bad = ["sh", "-c", r"printf 'bad \377 byte\n' >&2; exit 7"]
    fails(ProgramFailedError, "bad \N{REPLACEMENT CHARACTER} byte", program, "c", command=bad)
    box.run(f"mkdir {place}/d && echo mine > {place}/d/notes")
    fails(FolderNotEmptyError, "notes", program, "d", command=["true"])
    assert box.run(f"cat {place}/d/notes").stdout == "mine\n"
    error = fails(CorrectionsExhaustedError, "-1", energy, "e", needed=5000)
    assert (error.attempts, len(error.corrections)) == (3, 2)
    fails(HandlerError, "Broken raised KeyError while it corrected", energy, "f", handlers="Broken")
    fails(CorrectionsUndoneError, "undo each other", energy, "g", handlers="TenSteps OneStep", needed=10**6)

    both = ["sh", "-c", "head -c 30000000 /dev/zero & head -c 30000000 /dev/zero >&2; wait"]
    assert run_target(program, {"folder": f"{place}/h", "command": both}, client).get() == [30_000_000] * 2


@pytest.mark.slow_in_the_lab
def test_what_cannot_travel_is_said_before_or_after(code: Path, client: Client) -> None:
    anything = load_target(f"{code}:anything")
    with pytest.raises(WorkflowError, match=r"cannot be sent: value\['one'\]\[0\] is a _thread\.lock"):
        run_target(anything, {"value": {"one": [threading.Lock()]}}, client)
    outcome = run_target(anything, {"value": 1, "size": 500_000_001}, client)
    assert isinstance(outcome.error, WorkflowError)
    assert "the result has 500 MB, and at most 500 MB travel" in str(outcome.error)
    assert "return its path" in str(outcome.error)


@pytest.mark.slow
@pytest.mark.parametrize("box", [pytest.param("lab", marks=pytest.mark.lab)], indirect=True)
def test_a_gigabyte_on_both_streams_costs_no_memory(code: Path, client: Client, box: Box, place: str) -> None:
    talkative, size = load_target(f"{code}:talkative"), 10**9
    outcome = run_target(talkative, {"folder": f"{place}/a", "size": size}, client)
    sizes, kilobytes = outcome.get()
    assert sizes == [size, size + len("the end\n")]
    assert kilobytes < 50_000
    # What of so much is told of a program that failed is its end.
    error = run_target(talkative, {"folder": f"{place}/b", "size": size // 10, "code": 3}, client).error
    assert type(error) is ProgramFailedError
    assert "the end" in str(error)
    assert len(str(error)) < 20_000
