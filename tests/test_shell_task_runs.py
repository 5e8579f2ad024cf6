"""Programs in workflows on a cluster: their stages are the run's progress, and they end when it is cancelled."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from simmate_remote.errors import RunCancelledError
from tests.hosts import wait_until
from tests.local.clusters import cluster_elsewhere

MODULE = """
from pathlib import Path
from simmate_remote.workflows import ShellTask, gather, task, workflow


class Counts(ShellTask[int]):
    command = ["sh", "count.sh"]

    def setup(self, folder: Path, last: int = 3) -> None:
        (folder / "count.sh").write_text(f"echo $$ > pid; echo {last} > result; sleep {last}")

    def progress(self, folder: Path):
        return {"step": 7}

    def workup(self, folder: Path) -> int:
        return int((folder / "result").read_text())


@task
def count(folder: str, last: int) -> int:
    return Counts().run(folder, last=last)


@workflow
def counting(place: str, last: int = 0) -> list[int]:
    return gather([count.submit(f"{place}/one", last), count.submit(f"{place}/two", last)])


@workflow
def one(folder: str, last: int = 0) -> int:
    return Counts().run(folder, last=last)
"""


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("code")
    (folder / "programflows.py").write_text(textwrap.dedent(MODULE))
    sys.path.insert(0, str(folder))
    yield importlib.import_module("programflows")
    sys.path.remove(str(folder))
    del sys.modules["programflows"]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with (
        cluster_elsewhere(tmp_path_factory.mktemp("elsewhere")) as (address, _),
        Client(address, set_as_default=False) as client,
    ):
        yield client


def test_programs_run_side_by_side_and_give_their_results(flows: Any, client: Client, tmp_path: Path) -> None:
    assert flows.counting.submit(on=client, place=str(tmp_path)).result(40) == [0, 0]
    assert flows.counting.run(place=str(tmp_path / "here")) == [0, 0]


def test_stages_are_progress_and_cancel_ends_the_program(flows: Any, client: Client, tmp_path: Path) -> None:
    handle = flows.one.submit(on=client, folder=str(tmp_path / "long"), last=300)
    wait_until(lambda: handle.progress.text.startswith("running"), 20, "it tells that it runs")
    wait_until(lambda: handle.progress.text == "running, step 7", 20, "it tells its own numbers")
    pid = int((tmp_path / "long/pid").read_text())
    handle.cancel()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 20, "the program has ended")
    with pytest.raises(RunCancelledError):
        handle.result(5)


def test_programs_of_a_workflows_tasks_end_with_it(flows: Any, client: Client, tmp_path: Path) -> None:
    handle = flows.counting.submit(on=client, place=str(tmp_path), last=300)
    pids = [tmp_path / name / "pid" for name in ("one", "two")]
    wait_until(lambda: all(pid.exists() and pid.read_text() for pid in pids), 20, "both programs run")
    handle.cancel()
    for pid in pids:
        wait_until(lambda pid=pid: not Path(f"/proc/{int(pid.read_text())}").exists(), 20, "the program has ended")
