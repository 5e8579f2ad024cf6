"""Tasks on Dask's workers: a worker that is killed, many at once, and errors that travel."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from simmate_remote.errors import ProgramFailedError
from simmate_remote.workflows.shell import Resources, TaskOutcome
from simmate_remote.workflows.shell.record import read_record
from tests.shell_tasks import Script, processes_with, wait_until
from tests.test_shell_task_restart import Counts


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as slots,
    ):
        patch.setenv("SIMMATE_REMOTE_SLOTS", f"{slots}/slots")
        yield from cluster_client()


def cluster_client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, host="127.0.0.1", dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def count(folder: str, last: int) -> tuple[str, int]:
    outcome: TaskOutcome[str] = Counts().perform({"last": last}, folder)
    return outcome.data, outcome.attempts


def script(folder: str, text: str, value: int = 0) -> str:
    return Script(resources=Resources(shared=True)).run(folder, script=text, value=value)


@pytest.mark.slow
def test_a_task_whose_worker_is_killed_goes_on_at_another_one(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    future = client.submit(count, str(folder), 300)
    wait_until(lambda: (folder / "checkpoint").exists() and int((folder / "checkpoint").read_text() or 0) > 20)
    record = read_record(folder)
    assert record is not None
    os.kill(record.attempts[0]["worker"], signal.SIGKILL)
    said, attempts = future.result(timeout=50)
    assert attempts == 2
    assert said.endswith("to 300")
    assert int(said.split()[1]) >= 20


def test_many_at_once(client: Client, tmp_path: Path) -> None:
    folders = [str(tmp_path / str(number)) for number in range(40)]
    futures = client.map(script, folders, ["cat value.txt"] * 40, range(40))
    assert client.gather(futures) == [str(number) for number in range(40)]


def test_an_error_arrives_with_all_that_it_tells(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ProgramFailedError, match="exit code 3") as caught:
        client.submit(script, str(tmp_path / "a"), "echo the reason >&2; exit 3").result(timeout=30)
    assert "the reason" in str(caught.value)
    assert caught.value.folder == str(tmp_path / "a")


def test_programs_end_with_their_cluster(tmp_path: Path) -> None:
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        future = client.submit(script, str(tmp_path / "a"), "sleep 9123456")
        wait_until(lambda: processes_with("sleep\0009123456"))
        del future
    wait_until(lambda: not processes_with("sleep\0009123456"))
