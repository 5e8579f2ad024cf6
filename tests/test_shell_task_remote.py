"""Tasks on a host, over a session: with code of one's own that travels, and nothing left when the session has ended."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from distributed import Client

from simmate_remote import RemoteCluster
from simmate_remote.errors import CorrectionsExhaustedError
from simmate_remote.testing import EmbeddedHost
from simmate_remote.workflows.running import run_target
from simmate_remote.workflows.shell.record import read_record
from simmate_remote.workflows.target import load_target
from tests.boxes import EmbeddedBox, assert_nothing_left
from tests.hosts import host_of, travels
from tests.shell_tasks import processes_with, wait_until

CODE = """
    from pathlib import Path

    from simmate_remote.workflows import ShellTask

    class MoreSteps:
        is_monitor = False

        def check(self, directory="./"):
            return "not converged" in Path(directory, "stdout.txt").read_text()

        def correct(self, directory="./"):
            steps = Path(directory, "steps")
            steps.write_text(str(int(steps.read_text()) * 10))
            return {"errors": ["not converged"], "actions": ["more steps"]}

    class Scf(ShellTask[float]):
        command = ("sh", "scf.sh")
        handlers = (MoreSteps(),)
        max_corrections = 2

        def setup(self, folder: Path, needed: int) -> None:
            (folder / "steps").write_text("1")
            (folder / "scf.sh").write_text(
                f"if [ $(cat steps) -lt {needed} ]; then echo not converged; exit 2; fi; echo -15.5"
            )

        def workup(self, folder: Path) -> float:
            return float((folder / "stdout.txt").read_text())

    def energy(folder: str, needed: int = 50):
        return Scf().run(folder, needed=needed)
"""


@pytest.fixture
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "scfcode.py"
    path.write_text(textwrap.dedent(CODE))
    return path


@travels
def sleep_forever(folder: str) -> None:
    from simmate_remote.workflows import Resources, ShellTask

    # Without slots: the host's are those of this machine's user, and the worker is killed with what it holds.
    ShellTask(command="sleep 8712345", resources=Resources(shared=True)).run(folder)


def test_a_task_of_ones_own_runs_on_a_host(own_code: Path, tmp_path: Path) -> None:
    with EmbeddedHost() as host:
        box = EmbeddedBox(host)
        with RemoteCluster(host_of(box)) as cluster, Client(cluster) as client:
            energy = load_target(f"{own_code}:energy")
            assert run_target(energy, {"folder": str(tmp_path / "a")}, client).get() == -15.5
            record = read_record(tmp_path / "a")
            assert record is not None
            # The same name wherever it runs, so that the folder can be gone on with anywhere.
            assert record.task == "scfcode:Scf"
            assert len(record.attempts) == 3
            failed = run_target(energy, {"folder": str(tmp_path / "b"), "needed": 5000}, client)
            assert isinstance(failed.error, CorrectionsExhaustedError)
            assert "-1" in str(failed.error)
            assert failed.error.attempts == 3
            future = client.submit(sleep_forever, str(tmp_path / "c"))
            wait_until(lambda: processes_with("sleep\0008712345"))
            del future
        assert_nothing_left(box)
    assert not processes_with("sleep\0008712345")
