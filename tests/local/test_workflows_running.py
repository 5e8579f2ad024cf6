"""Running targets: in this process, on local processes, and on a cluster that knows nothing of the code."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from simmate_remote.errors import ClusterError, SchedulerError, WorkersError, WorkflowError
from simmate_remote.workflows import bundle as bundle_module
from simmate_remote.workflows import files as files_module
from simmate_remote.workflows.bundle import bundle
from simmate_remote.workflows.own_code import needed_code
from simmate_remote.workflows.running import run_target
from simmate_remote.workflows.target import Target, load_target
from simmate_remote.workflows.watching import Update
from tests.local.clusters import cluster_elsewhere

PACKAGE = {
    "__init__.py": "",
    "results.py": """
        from dataclasses import dataclass

        @dataclass
        class Energy:
            value: float

        class Diverged(Exception):
            def __init__(self, step):
                super().__init__(step)
                self.step = step

        class Awkward(Exception):
            def __init__(self, one, two):
                super().__init__(f"{one} {two}")
        """,
    "table/values.txt": "42",
    "work.py": """
        import os
        import sys
        import threading
        from pathlib import Path

        import neighbour
        from distributed import get_client, secede, worker_client

        import labcode.results as absolute
        from simmate_remote.workflows import report_progress

        from . import results
        from .results import Energy

        def square(x):
            from labcode import results as again
            from .results import Energy
            assert again.Energy is Energy is results.Energy is absolute.Energy
            return Energy(x * x)

        def sum_of_squares(n: int = 4) -> Energy:
            with worker_client() as client:
                found = client.gather(client.map(square, range(n)))
            assert all(isinstance(one, Energy) for one in found)
            return Energy(sum(one.value for one in found) + neighbour.offset)

        def with_get_client(n: int = 4):
            client = get_client()
            futures = client.map(square, range(n))
            secede()
            return [one.value for one in client.gather(futures)]

        def data():
            return (Path(__file__).parent / "table" / "values.txt").read_text()

        async def contents(structure: Path, others: list[Path] = ()):
            structure.write_text(structure.read_text() + "!")
            return [(one.name, one.read_text()) for one in (structure, *others)]

        def deeper(step):
            raise results.Diverged(step)

        def diverge(step: int = 3):
            deeper(step)

        def awkward():
            raise results.Awkward(1, 2)

        def leave():
            sys.exit(3)

        def unsendable():
            return threading.Lock()

        def progress(steps: int = 3):
            for step in range(steps):
                report_progress(step + 1, steps, "steps")

        def die_until(marker: str, deaths: int):
            try:
                died = len(Path(marker).read_text())
            except FileNotFoundError:
                died = 0
            if died < deaths:
                Path(marker).write_text("x" * (died + 1))
                os._exit(1)
            return died

        def wait_for(marker: str):
            report_progress(0, 1, "waiting")
            event = threading.Event()
            for _ in range(5000):
                if Path(marker).exists():
                    break
                event.wait(0.01)
        """,
}


@pytest.fixture(scope="module", autouse=True)
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write a package and a module beside it, which nothing but this process can import."""
    folder = tmp_path_factory.mktemp("code")
    for name, text in PACKAGE.items():
        file = folder / "labcode" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
    (folder / "neighbour.py").write_text("offset = 100")
    path, modules = list(sys.path), set(sys.modules)
    yield folder
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("elsewhere")
    with cluster_elsewhere(folder) as (address, _), Client(address, set_as_default=False) as client:
        yield client


@pytest.fixture(params=["serial", "local", "remote"])
def place(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue("remote") if request.param == "remote" else request.param


def target(code: Path, name: str) -> Target:
    return load_target(f"{code}/labcode/work.py:{name}")


def alone(folder: Path, text: str, name: str = "alone_f") -> Target:
    (folder / f"{name}.py").write_text(textwrap.dedent(text))
    return load_target(f"{folder}/{name}.py:f")


def test_the_same_result_everywhere(code: Path, place: Any, tmp_path: Path) -> None:
    function = target(code, "sum_of_squares")
    outcome = run_target(function, {"n": 5}, place)
    assert outcome.get() == sys.modules["labcode.results"].Energy(130)
    assert type(outcome.result) is sys.modules["labcode.results"].Energy
    assert (outcome.attempts, outcome.error, outcome.traceback) == (1, None, "")


def test_functions_that_use_dask_data_and_files(code: Path, remote: Client, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Si.cif").write_text(name)
    files = {"structure": tmp_path / "a/Si.cif", "others": [tmp_path / "b/Si.cif"]}
    for place in ("serial", remote):
        assert run_target(target(code, "with_get_client"), {}, place).get() == [0, 1, 4, 9]
        assert run_target(target(code, "data"), {}, place).get() == "42"
        assert run_target(target(code, "contents"), files, place).get() == [("Si.cif", "a!"), ("Si.cif", "b")]
    assert (tmp_path / "a/Si.cif").read_text() == "a"


def test_files_that_cannot_be_sent(code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkflowError, match=r"gone\.cif is given as a file, and cannot be read: No such file"):
        run_target(target(code, "contents"), {"structure": tmp_path / "gone.cif"}, "serial")
    monkeypatch.setattr(files_module, "LIMIT", 3)
    (tmp_path / "large.cif").write_text("four")
    with pytest.raises(WorkflowError, match=r"large\.cif has .* annotated as str"):
        run_target(target(code, "contents"), {"structure": tmp_path / "large.cif"}, "serial")


def test_a_default_that_is_a_file_here_is_one_there(remote: Client, tmp_path: Path) -> None:
    (tmp_path / "default.cif").write_text("content")
    function = alone(
        tmp_path,
        f"""
        from pathlib import Path
        def f(there: Path = Path({str(tmp_path / "default.cif")!r}), not_there: Path = Path("/not/there")):
            return there.read_text(), there.parent.name, str(not_there)
        """,
    )
    assert run_target(function, {}, remote).get() == ("content", "0", "/not/there")


def test_what_the_function_raises(code: Path, place: Any) -> None:
    outcome = run_target(target(code, "diverge"), {"step": 7}, place)
    assert isinstance(outcome.error, sys.modules["labcode.results"].Diverged)
    assert outcome.error.step == 7
    lines = outcome.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].startswith(f'  File "{code}/labcode/work.py", line ')
    assert lines[1].endswith("in diverge")
    assert any(line.endswith("in deeper") for line in lines)
    assert lines[-1] == "labcode.results.Diverged: 7"
    with pytest.raises(Exception, match="7") as caught:
        outcome.get()
    assert caught.value is outcome.error


def test_what_cannot_travel_is_told_in_words(code: Path, remote: Client) -> None:
    outcome = run_target(target(code, "awkward"), {}, remote)
    assert isinstance(outcome.error, RuntimeError)
    assert str(outcome.error) == "labcode.results.Awkward: 1 2"
    assert isinstance(run_target(target(code, "leave"), {}, remote).error, SystemExit)
    outcome = run_target(target(code, "unsendable"), {}, remote)
    assert "_thread.lock, which cannot be pickled" in outcome.traceback


def test_code_is_there_again_after_a_restart(code: Path, remote: Client) -> None:
    function = target(code, "sum_of_squares")
    assert run_target(function, {}, remote).get().value == 114
    remote.restart()
    assert run_target(function, {}, remote).get().value == 114


def test_a_task_whose_worker_dies_is_started_again(code: Path, remote: Client, tmp_path: Path) -> None:
    given = {"marker": str(tmp_path / "marker"), "deaths": 1}
    outcome = run_target(target(code, "die_until"), given, remote)
    assert (outcome.get(), outcome.attempts) == (1, 2)


def test_a_task_that_kills_its_workers_is_given_up(code: Path, remote: Client, tmp_path: Path) -> None:
    given = {"marker": str(tmp_path / "marker"), "deaths": 9}
    with pytest.raises(WorkersError, match=r"2 workers died .* the last one being \d") as caught:
        run_target(target(code, "die_until"), given, remote, host="lab-box")
    assert caught.value.remedies[0].command == "simmate-remote logs lab-box"
    remote.wait_for_workers(2, timeout=20)


@pytest.mark.parametrize("where", ["serial", "remote"])
def test_progress(code: Path, where: str, request: pytest.FixtureRequest) -> None:
    updates: list[Update] = []
    place: Any = request.getfixturevalue("remote") if where == "remote" else where
    run_target(target(code, "progress"), {}, place, on_update=updates.append)
    last = updates[-1]
    assert (last.state, last.done, last.total, last.text) == ("finished", 3, 3, "steps")
    assert all(one != other for one, other in itertools.pairwise(updates))


def test_reports_outside_of_a_run_do_nothing(code: Path) -> None:
    assert target(code, "progress").function() is None


def test_a_cluster_without_workers_is_told(code: Path, tmp_path: Path) -> None:
    updates: list[Update] = []
    with (
        cluster_elsewhere(tmp_path, workers=0) as (address, _),
        Client(address, set_as_default=False) as client,
        pytest.raises(WorkersError, match="no worker for 0 s") as caught,
    ):
        run_target(target(code, "data"), {}, client, patience=0, on_update=updates.append)
    assert "taken back" in str(caught.value)
    assert updates[-1].state == "no worker"


def test_a_scheduler_that_dies_ends_the_wait(code: Path, tmp_path: Path) -> None:
    with cluster_elsewhere(tmp_path) as (address, process):

        def kill(update: Update) -> None:
            if update.text == "waiting" and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(20)

        given = {"marker": str(tmp_path / "never")}
        with (
            Client(address, set_as_default=False, timeout=5) as client,
            pytest.raises(SchedulerError, match="scheduler is gone") as caught,
        ):
            run_target(target(code, "wait_for"), given, client, host="lab-box", on_update=kill)
    assert caught.value.host == "lab-box"


def test_an_interrupted_run_does_not_wait_for_the_function(code: Path, tmp_path: Path) -> None:
    def interrupt(update: Update) -> None:
        if update.text == "waiting":
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_target(target(code, "wait_for"), {"marker": str(tmp_path / "go")}, "serial", on_update=interrupt)
    assert time.monotonic() - began < 20  # the function would have taken 50 s
    (tmp_path / "go").touch()


def test_a_parameter_that_cannot_be_sent(code: Path) -> None:
    with pytest.raises(WorkflowError, match=r"a parameter of diverge cannot be sent: step is a _thread\.lock"):
        run_target(target(code, "diverge"), {"step": threading.Lock()}, "serial")


def test_only_own_code_travels_and_not_too_much(code: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target(code, "data")
    (code / "labcode" / "__pycache__").mkdir(exist_ok=True)
    packed = bundle(needed_code("labcode.work").own)
    assert packed is not None
    assert packed.names == ("labcode", "neighbour")
    assert packed == bundle(needed_code("labcode.work").own)
    assert bundle(needed_code("json").own) is None
    assert bundle(needed_code("yaml").own) is None
    monkeypatch.setattr(bundle_module, "LIMIT", 100)
    with pytest.raises(WorkflowError, match="annotated as Path, or install") as caught:
        run_target(alone(tmp_path, f"def f(): return {'x' * 100!r}"), {}, "local")
    assert "alone_f.py" in str(caught.value)


def test_a_scheduler_without_this_package(
    code: Path, monkeypatch: pytest.MonkeyPatch, remote: Client, tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'simmate_remote'")

    monkeypatch.setattr(remote, "run_on_scheduler", refuse)
    with pytest.raises(ClusterError, match="could not run the task: ModuleNotFoundError: No module") as caught:
        run_target(target(code, "data"), {}, remote, host="lab-box")
    assert caught.value.remedies[0].command == "simmate-remote logs lab-box"


def test_a_result_of_a_class_that_is_not_here(remote: Client, tmp_path: Path) -> None:
    function = alone(
        tmp_path,
        """
        import sys, types
        def f():
            module = sys.modules["only_there"] = types.ModuleType("only_there")
            exec("class Thing: pass", module.__dict__)
            return module.Thing()
        """,
    )
    with pytest.raises(WorkflowError, match=r"result cannot be understood here: .*only_there"):
        run_target(function, {}, remote)


def test_the_host_needs_distributed_alone() -> None:
    """What scheduler and workers import must not ask for the packages that only this side has."""
    program = """
import sys
for name in ("asyncssh", "fabric", "paramiko", "platformdirs", "pydantic", "rich", "typer"):
    sys.modules[name] = None
import simmate_remote.workflows
import simmate_remote.workflows.call, simmate_remote.workflows.shipping, simmate_remote.workflows.watching
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
