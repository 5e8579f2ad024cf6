"""What ``connect`` says to somebody who comes back: how the link was, what died, and what became of runs; each once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from simmate_remote import RemoteCluster
from simmate_remote.inventory import load_host
from simmate_remote.testing import EmbeddedHost
from tests.boxes import EmbeddedBox, assert_nothing_left
from tests.durables import pids
from tests.hosts import session_pid, wait_until
from tests.users import Typist

CODE = """
import os
from pathlib import Path
from simmate_remote import workflow
from simmate_remote.workflows.current import current

@workflow
def add(a: int) -> int:
    if a < 0:
        raise ValueError("less than\\nnothing")
    return a + 1

@workflow
def wait() -> int:
    began = current().folder / "pid"
    began.with_suffix(".new").write_text(str(os.getpid()))
    began.with_suffix(".new").rename(began)
    while not (current().folder / "go").exists():
        current().cancelled.wait(0.02)
    return 1
"""


class User(Typist):
    def __init__(self, folder: Path, box: EmbeddedBox) -> None:
        super().__init__(folder)
        self.box = box

    def lines(self, *names: str) -> list[str]:
        """Connect, and give what is said under some names; ``(…)`` are how long ago things were."""
        shown = [line.strip() for line in self("connect", "lab-box").splitlines()]
        return [line for line in shown if line.split(":")[0] in names]

    def cut(self) -> None:
        """Cut the link, and wait until it is back."""
        self.box.cut()

        def is_back() -> bool:
            report = json.loads(self("status", "lab-box", "--json"))
            return bool(report["state"] == "connected" and report["outages"][-1]["ended"])

        wait_until(is_back, 30, "the link is back")

    def began(self) -> Path:
        """Wait until the newest run is executed, and give the folder of its files."""
        folder = Path(self.until(lambda runs: runs[0]["state"] == "running")["folder"]) / "files"
        wait_until((folder / "pid").exists, 20, "it began")
        return folder


def nannies() -> list[int]:
    """Give the processes that watch over workers."""
    with RemoteCluster("lab-box") as cluster, Client(cluster) as client:
        return list(client.run(os.getpid, nanny=True).values())


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    with EmbeddedHost() as host:
        box = EmbeddedBox(host)
        box.inventory(tmp_path / "hosts")
        monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(tmp_path / "hosts"))
        monkeypatch.setenv("COLUMNS", "200")
        (tmp_path / "work.py").write_text(CODE)
        user = User(tmp_path, box)
        user("connect", "lab-box")
        yield user
        user("disconnect", "lab-box", "--stop")
        assert_nothing_left(box)


@pytest.mark.slow
def test_coming_back_to_a_session_that_lived(user: User) -> None:
    assert user.lines("meanwhile", "runs", "outage", "event", "found") == []
    user("run", "work.py:add", "a=-1", "--on", "lab-box", "--detach")
    user.until(lambda runs: runs[0]["state"] == "failed")
    run = user("run", "work.py:wait", "--on", "lab-box", "--detach").split()[0]
    user.began()
    for pid in nannies():
        user.box.kill(pid, signal.SIGKILL)
    user.until(lambda runs: runs[0]["attempts"] == 2)
    for _ in range(2):
        user.cut()
    away, death, *runs = user.lines("meanwhile", "runs", "outage", "event")
    assert away.startswith("meanwhile: the link was away 2 times since ")
    assert "the link was lost" in away
    assert "died (SIGKILL)" in death
    assert runs[0].endswith(": 1 failed; 1 lost an attempt, since what it ran on died")
    failed = user.runs()[1]["id"][-8:]
    assert [line.removeprefix("runs:").strip() for line in runs[1:]] == [
        f"failed: add ({failed}): less than",
        "nothing",
        "still 1 running",
    ]
    assert user.lines("meanwhile", "runs", "outage", "event") == []
    assert "outage:" in user("status", "lab-box")
    user.cut()
    (away,) = user.lines("meanwhile", "runs", "outage", "event")
    assert away.startswith("meanwhile: the link was away once, at ")
    user("runs", "cancel", run)


@pytest.mark.slow
def test_coming_back_with_another_session(user: User) -> None:
    user("run", "work.py:wait", "--on", "lab-box", "--detach")
    folder = user.began()
    worker = int((folder / "pid").read_text())
    watching = nannies()
    user("disconnect", "lab-box")
    (folder / "pid").unlink()
    user.box.kill(worker, signal.SIGKILL)
    wait_until((folder / "pid").exists, 30, "it began again")
    (folder / "go").touch()
    wait_until((folder.parent / "outcome.json").exists, 30, "it ended")
    for pid in watching:
        user.box.kill(pid, signal.SIGKILL)
    there, alone, death, *runs = user.lines("found", "meanwhile", "runs")
    assert there.startswith("found:     scheduler and workers that are there since ")
    assert alone.startswith("found:     nobody was connected since ")
    assert "tasks" not in alone  # the run's task is the run
    assert "died (exit code -9)" in death
    (line,) = runs
    assert ": 1 finished" in line
    assert line.endswith("; 1 lost an attempt, since what it ran on died")


@pytest.mark.slow
def test_coming_back_when_all_there_died(user: User) -> None:
    run = user("run", "work.py:wait", "--on", "lab-box", "--detach").split()[0]
    user.began()
    os.kill(session_pid(load_host("lab-box")), signal.SIGKILL)
    for pid in pids(user.box, "keeper"):
        with contextlib.suppress(ProcessLookupError):  # the guardian ends when its keeper does
            user.box.kill(pid, signal.SIGKILL)
    wait_until(lambda: not user.box.processes(), 20, "everything there ended")
    found, *runs = user.lines("found", "meanwhile", "runs")
    assert "is gone, and was started afresh: the keeper on the host died" in found
    assert "; it lived still at " in found
    assert runs[0].endswith(": none ended; 1 lost an attempt, since what it ran on died")
    user("runs", "cancel", run)
