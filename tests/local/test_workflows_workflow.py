"""Workflows and their tasks: the same work serially, on all cores, and on a cluster that knows nothing of the code."""

from __future__ import annotations

import asyncio
import gc
import importlib
import pickle
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from simmate_remote.errors import RunCancelledError, WorkflowError
from simmate_remote.workflows import call as call_module
from simmate_remote.workflows import listening, task, workflow
from simmate_remote.workflows.progress import TOPIC
from simmate_remote.workflows.run_tasks import Counts
from simmate_remote.workflows.running import run_target
from simmate_remote.workflows.target import load_target
from simmate_remote.workflows.workflow import workflows_of
from tests.hosts import wait_until
from tests.local.clusters import cluster_elsewhere

PACKAGE = {
    "__init__.py": "",
    "results.py": """
        from dataclasses import dataclass

        @dataclass
        class Energy:
            value: float
        """,
    "work.py": """
        import asyncio
        import os
        import signal
        import threading
        import time
        from pathlib import Path

        from simmate_remote.workflows import gather, report_progress, task, workflow
        from simmate_remote.workflows.current import current

        import labflows.results as absolute

        from .results import Energy

        @task
        def square(x: int, offset: int = 0) -> Energy:
            print("squaring", x)
            assert absolute.Energy is Energy
            return Energy(x * x + offset)

        @task
        def fragile(x):
            if x == 3:
                raise ValueError(f"not {x}")
            return x

        @workflow
        def squares(n: int = 4, offset: int = 0) -> float:
            '''Sum squares.'''
            found = gather([square.submit(x, offset=offset) for x in range(n)])
            assert all(type(one) is Energy for one in found)
            return sum(one.value for one in found)

        @task
        def lasts(seconds: float) -> float:
            time.sleep(seconds)
            return seconds

        async def seconds_of(handle):
            return await handle

        @workflow
        async def waits_for_many() -> list[float]:
            # The first of those who wait has its answer long before the last.
            found = lasts.map([0, 0.1, 0.1])
            return await asyncio.gather(*map(seconds_of, found))

        @workflow(name="twice-over", version="7")
        class Twice:
            '''Call another workflow two times, one beside the other.'''

            def run(self, n: int = 3) -> list[float]:
                return gather([squares.submit(n=n), squares.submit(n=n + 1)]) + [squares(n)]

        @workflow
        def mapped(n: int = 4):
            return [type(each.outcome().error).__name__ for each in fragile.map(range(n))]

        @workflow
        def fails_at(x: int) -> int:
            if x % 7 == 3:
                raise ValueError(f"not {x}")
            return x

        @workflow
        async def later(structure: Path) -> str:
            return structure.read_text()

        @workflow
        def waits(folder: str):
            print("waiting in", folder)
            report_progress(1, 2, "waiting")
            Path(folder, "started").touch()
            one = current()
            stopped = one.cancelled.wait(30)
            Path(folder, "stopped" if stopped else "not stopped").touch()

        @task
        def holds(go: str, begun: str):
            Path(begun).write_text(str(os.getpid()))
            while not Path(go).exists():
                time.sleep(0.01)

        @workflow
        def dies_once(folder: str):
            place = Path(folder)
            for number in range(9 if not (place / "died").exists() else 0):
                begun = place / f"begun-{number}"
                holds.submit(str(place / "go-1"), str(begun))
                while not begun.exists() or not begun.read_text():
                    time.sleep(0.01)
                if begun.read_text() != str(os.getpid()):  # it is at work on the other worker, which lives on
                    (place / "died").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            (place / "again").touch()
            while not (place / "go-2").exists():
                time.sleep(0.01)
            return gather([square.submit(3)])[0].value

        @workflow
        def large(size: int) -> bytes:
            return bytes(size)
        """,
}
NAMES = ["dies_once", "fails_at", "large", "later", "mapped", "squares", "twice-over", "waits", "waits_for_many"]


@pytest.fixture(scope="module", autouse=True)
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Give a module with workflows, which nothing but this process can import."""
    folder = tmp_path_factory.mktemp("code")
    for name, text in PACKAGE.items():
        file = folder / "labflows" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(textwrap.dedent(text))
    sys.path.insert(0, str(folder))
    yield importlib.import_module("labflows.work")
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "labflows"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with (
        cluster_elsewhere(tmp_path_factory.mktemp("elsewhere")) as (address, _),
        Client(address, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(params=["serial", "local", "remote"])
def place(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue("remote") if request.param == "remote" else request.param


def test_the_same_result_everywhere(work: Any, place: Any, tmp_path: Path) -> None:
    (tmp_path / "Si.cif").write_text("silicon")
    assert work.squares.submit(on=place, n=5, offset=1).result(30) == 35
    assert work.Twice.submit(on=place).result(30) == [5, 14, 5]
    assert work.mapped.submit(on=place).result(30) == ["NoneType"] * 3 + ["ValueError"]
    assert work.later.submit(on=place, structure=tmp_path / "Si.cif").result(30) == "silicon"


def test_run_is_here_and_now(work: Any, tmp_path: Path) -> None:
    (tmp_path / "Si.cif").write_text("silicon")
    assert work.squares.run(n=5) == 30
    assert work.squares(5) == 30
    assert work.Twice.run() == [5, 14, 5]
    assert work.later.run(structure=str(tmp_path / "Si.cif")) == "silicon"
    with pytest.raises(ValueError, match="not 3"):
        work.fails_at.run(x=3)


def test_what_a_workflow_is_called(work: Any) -> None:
    assert [each.name for each in workflows_of("labflows.work")] == NAMES
    assert (work.squares.name, work.squares.version, work.squares.__doc__) == ("squares", "1", "Sum squares.")
    assert (work.Twice.name, work.Twice.version) == ("twice-over", "7")
    assert pickle.loads(pickle.dumps(work.Twice)) is work.Twice
    assert pickle.loads(pickle.dumps(work.square)) is work.square


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"n": "many"}, r"squares: n should be int \(.*\), and is 'many'"),
        ({"m": 3}, "squares has no parameter 'm'; it has n, offset"),
        ({"n": None}, "squares: n should be int"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name_before_anything_is_sent(
    work: Any, parameters: dict[str, Any], words: str
) -> None:
    for refused in (
        lambda: work.squares.run(**parameters),
        lambda: work.squares.submit(on="a host that nobody knows", **parameters),
        lambda: work.squares.map([{"n": 1}, parameters], on="a host that nobody knows"),
    ):
        with pytest.raises(WorkflowError, match=words):
            refused()
    with pytest.raises(WorkflowError, match=r"fails_at needs x=…"):
        work.fails_at.submit(on="a host that nobody knows")


def test_one_failure_hides_no_other(work: Any, place: Any) -> None:
    handles = work.fails_at.map([{"x": x} for x in range(50)], on=place)
    outcomes = [handle.outcome(30) for handle in handles]
    failed = [x for x in range(50) if x % 7 == 3]
    assert [x for x, outcome in enumerate(outcomes) if outcome.error is not None] == failed
    assert [outcome.result for outcome in outcomes if outcome.error is None] == [x for x in range(50) if x % 7 != 3]
    assert [handle.status for handle in handles[2:4]] == ["finished", "failed"]
    assert outcomes[3].traceback.splitlines()[-1] == "ValueError: not 3"
    assert "labflows/work.py" in outcomes[3].traceback.splitlines()[1]
    with pytest.raises(ValueError, match="not 3"):
        handles[3].result()


def test_workflows_that_fill_every_worker_find_room_for_their_tasks(work: Any, remote: Client) -> None:
    threads = sum(remote.nthreads().values())
    handles = work.Twice.map([{"n": 2}] * (3 * threads), on=remote)
    assert [handle.result(50) for handle in handles] == [[1, 5, 1]] * (3 * threads)


def test_coroutines_that_wait_find_room_for_their_tasks(work: Any, tmp_path: Path) -> None:
    with cluster_elsewhere(tmp_path, 1, threads=1) as (address, _), Client(address, set_as_default=False) as client:
        assert work.waits_for_many.submit(on=client).result(50) == [0, 0.1, 0.1]


def test_status_progress_output_and_cancel(work: Any, remote: Client, tmp_path: Path) -> None:
    handle = work.waits.submit(on=remote, folder=str(tmp_path))
    wait_until(lambda: handle.progress.done == 1, 20, "its report came")
    assert (handle.status, handle.done()) == ("running", False)
    assert (handle.progress.total, handle.progress.text) == (2, "waiting")
    assert handle.logs() == f"waiting in {tmp_path}\n"
    with pytest.raises(TimeoutError, match=r"waits has not ended after 0\.1 s; it goes on"):
        handle.result(0.1)
    handle.cancel()
    wait_until((tmp_path / "stopped").exists, 20, "it was told to stop")
    assert (handle.status, handle.done()) == ("cancelled", True)
    with pytest.raises(RunCancelledError, match="waits was cancelled"):
        handle.result(5)


def test_tasks_tell_of_themselves_and_nobody_listens_for_ever(work: Any, remote: Client) -> None:
    handle = work.Twice.submit(on=remote, n=2)
    tasks = handle.tasks
    assert handle.result(30) == [1, 5, 1]
    assert handle.progress.state == "finished"
    counts = {name: (each.started, each.finished, each.waiting) for name, each in tasks.counts().items()}
    assert counts == {"squares": (2, 2, 0), "square": (7, 7, 0)}
    labels = {task.label for task in tasks.take_endings()}
    assert labels >= {"squares 1", "squares 2", "squares 1/square 2", "squares 2/square 3", "square 2"}
    wait_until(lambda: not listeners_of(remote), 20, "nobody listens to what has ended")


def test_what_comes_later_than_the_answer_that_has_it_already_counts_once(
    work: Any, remote: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pass_on, held = listening._Subscription._pass_on, []
    monkeypatch.setattr(listening._Subscription, "_pass_on", lambda *what: held.append(what))
    other = work.waits.submit(on=remote, folder=str(tmp_path))
    assert other.tasks.counts() == {}  # this client is told of all that happens from now on
    handle = work.Twice.submit(on=remote, n=2)
    run = handle.future.key
    wait_until(lambda: sum(event[1].get("state") == "finished" for _, event in held) == 9, 30, "all tasks have told")
    counts = handle.tasks.counts()
    for what in held:
        pass_on(*what)
    assert {event[1]["run"] for _, event in held} >= {run}
    assert handle.tasks.counts() == counts
    assert {name: each.started for name, each in counts.items()} == {"squares": 2, "square": 7}
    other.cancel()
    del listening._subscriptions[remote]  # it passes on to the list above, and the next test makes another


def test_what_the_tasks_of_a_dead_attempt_tell_does_not_count(work: Any, remote: Client, tmp_path: Path) -> None:
    handle = work.dies_once.submit(on=remote, folder=str(tmp_path))
    tasks = handle.tasks
    wait_until((tmp_path / "again").exists, 30, "its worker has died, and it has begun again")
    wait_until(lambda: tasks.counts() == {}, 20, "nothing of the dead attempt is shown")
    (tmp_path / "go-1").touch()
    wait_until(lambda: has_ended(remote, handle.future.key, "holds"), 20, "a task of the dead attempt has told its end")
    (tmp_path / "go-2").touch()
    assert handle.result(30) == 9
    assert tasks.counts() == {"square": Counts(started=1, finished=1)}


def has_ended(client: Client, run: str, name: str) -> bool:
    """Say whether the scheduler has heard of the end of a task of a name."""
    told = [[about.get(each) for each in ("run", "name", "state")] for _, about in client.get_events(TOPIC)]
    return [run, name, "finished"] in told


def test_who_begins_to_listen_late_hears_what_was_told(work: Any, remote: Client, tmp_path: Path) -> None:
    handle = work.waits.submit(on=remote, folder=str(tmp_path))
    wait_until((tmp_path / "started").exists, 20, "it has told how far it is")
    key = handle.future.key
    wait_until(lambda: any(each["run"] == key for _, each in remote.get_events(TOPIC)), 20, "the scheduler knows")
    assert (handle.progress.done, handle.progress.text) == (1, "waiting")
    assert key in listeners_of(remote)
    handle.cancel()
    del handle
    gc.collect()
    assert key not in listeners_of(remote)


def listeners_of(client: Client) -> list[str]:
    return list(listening._subscriptions[client]._listeners)


def test_what_was_printed_is_there_afterwards(work: Any, remote: Client) -> None:
    done = work.squares.submit(on=remote, n=2)
    assert done.result(30) == 1
    assert done.logs() == ""  # its tasks are calls of their own


async def test_handles_can_be_awaited(work: Any, remote: Client) -> None:
    one, two = work.squares.map([{"n": 3}, {"n": 4}], on=remote)
    assert await asyncio.gather(*map(asyncio.ensure_future, (awaited(one), awaited(two)))) == [5, 14]


async def awaited(handle: Any) -> Any:
    return await handle


def test_an_event_loop_ends_while_many_runs_go_on(work: Any, remote: Client, tmp_path: Path) -> None:
    handles = work.waits.map([{"folder": str(tmp_path)}] * 40, on=remote)

    async def give_up() -> int:
        for handle in handles:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(awaited(handle), 0.01)
        return await asyncio.to_thread(abs, -1)

    began = time.monotonic()
    assert asyncio.run(give_up()) == 1
    # The runs wait for 30 s, unless they are cancelled.
    assert time.monotonic() - began < 20
    assert not any(handle.done() for handle in handles)
    for handle in handles:
        handle.cancel()


def test_what_cannot_be_a_workflow_or_a_task() -> None:
    with pytest.raises(WorkflowError, match="is defined inside a function"):

        @workflow
        def inner() -> None: ...

    with pytest.raises(WorkflowError, match="is defined inside a function"):

        @task
        def other() -> None: ...

    with pytest.raises(WorkflowError, match=r"the class NoRun has no method run\(\)"):
        workflow(NoRun)


class NoRun:
    pass


class Settings:
    def __init__(self) -> None:
        self.steps = 3
        self.callbacks = [print, sys.stdout]


def test_what_cannot_be_sent_is_named_with_the_way_to_it(work: Any, remote: Client) -> None:
    with pytest.raises(
        WorkflowError, match=r"fragile cannot be sent: x\.callbacks\[1\] is a .*, which cannot be pickl"
    ):
        run_target(load_target("labflows.work:fragile"), {"x": Settings()}, remote)


def test_a_result_that_is_too_large(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "RESULT_LIMIT", 1_000_000)
    outcome = run_target(load_target("labflows.work:large"), {"size": 2_000_000}, "serial")
    assert isinstance(outcome.error, WorkflowError)
    assert "the result has 2 MB, and at most 1 MB travel" in str(outcome.error)
    assert "return its path" in str(outcome.error)


SCRIPT = """
from dataclasses import dataclass
from enum import Enum
import sys
from simmate_remote.workflows import gather, task, workflow

class Kind(Enum):
    ONE = 1

@dataclass
class Settings:
    number: int
    kind: Kind = Kind.ONE

@dataclass
class Found:
    number: int

@task
def add(settings: Settings) -> Found:
    assert type(settings) is Settings
    return Found(settings.number + settings.kind.value)

@workflow
def find(settings: Settings, more: list[Settings], how) -> Found:
    assert {{type(one) for one in (settings, *more)}} == {{Settings}}
    assert settings.kind is Kind.ONE
    return gather([how.submit(settings)])[0]

if __name__ == "__main__":
    found = find.submit(on={place}, settings=Settings(3), more=[Settings(1)], how=add).result(30)
    assert type(found) is Found, type(found)
    print(found.number)
"""


def run_python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], check=False, capture_output=True, text=True, timeout=50, **options
    )


def test_workflows_of_a_script_that_is_running_and_parameters_of_its_classes(tmp_path: Path) -> None:
    for place in ("serial", "local"):
        (tmp_path / "script.py").write_text(SCRIPT.format(place=repr(place)))
        done = run_python("script.py", cwd=tmp_path)
        assert (done.stdout, done.returncode) == ("4\n", 0), done.stderr


def test_workflows_that_were_typed_into_an_interpreter() -> None:
    done = run_python("-", input=SCRIPT.format(place="'a host'"))
    assert "find was typed into a notebook or an interpreter" in done.stderr
