"""What a host is to a test, whichever it is: the embedded one, or a real sshd in the lab."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from simmate_remote.testing import EmbeddedHost
    from tests.lab import Lab

LEAVING = 10.0  # seconds that processes get to end after a test


class Box(Protocol):
    """A host that tests connect to.

    Attributes:
        name: ``embedded`` or ``lab``.
        alias: What to type after ``ssh -F ssh_config``.
        ssh_config: The ssh_config file for it.
        python: An interpreter there, with Dask.
        home: HOME there.
    """

    name: str
    alias: str
    ssh_config: Path
    python: str
    home: str

    def processes(self) -> list[tuple[int, list[str]]]:
        """List process id (as it is on the box) and command line of all that lives of the account's."""

    def sockets(self) -> Sequence[object]:
        """List the TCP and Unix sockets on which those processes listen."""

    def logins(self) -> int:
        """Count the logins since the test began."""

    def cut(self) -> None:
        """Let every SSH connection die now."""

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command there as the account, not through SSH."""

    def kill(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a process there."""

    def inventory(self, folder: Path) -> Path:
        """Write the inventory's file for it, and return that file."""


class EmbeddedBox:
    """The embedded host as a box."""

    name = "embedded"

    def __init__(self, host: EmbeddedHost) -> None:
        self.host = host
        self.alias = host.alias
        self.ssh_config = host.ssh_config
        self.python = host.python
        self.home = str(host.home)
        self.processes = host.processes
        self.sockets = host.sockets
        self.cut = host.cut
        self.run = host.run
        self.inventory = host.inventory
        self._logins_before = host.logins

    def logins(self) -> int:
        return self.host.logins - self._logins_before

    def kill(self, pid: int, number: signal.Signals) -> None:
        os.kill(pid, number)


class LabBox:
    """The lab's machine as a box, for its ordinary account."""

    name = "lab"
    alias = "lab-box"
    account = "researcher"

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.ssh_config = lab.ssh_config
        self.python = str(lab.python)
        self.home = lab.accounts[self.account].home
        self._mark = lab.mark()

    def processes(self) -> list[tuple[int, list[str]]]:
        found = self.lab.processes(self.account)
        return [(pid, argv) for pid, argv in found if not argv[0].startswith("sshd:")]

    def sockets(self) -> Sequence[object]:
        return self.lab.sockets(self.account)

    def logins(self) -> int:
        return self.lab.logins(self._mark)

    def cut(self) -> None:
        self.lab.server.hang_up()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return self.lab.run(self.account, command, check=False)

    def kill(self, pid: int, number: signal.Signals) -> None:
        self.lab.kill(pid, number)

    def forget_runs(self) -> None:
        """Remove what is recorded of runs there: the sessions of the next test's user would collect all of it."""
        self.run("rm -rf ~/simmate-remote/runs")

    def inventory(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(self.lab.inventory / f"{self.alias}.yaml", folder))


def assert_nothing_left(box: Box) -> None:
    """Fail if anything still runs on a box after a while, and end it, for the next test's sake."""
    deadline = time.monotonic() + LEAVING
    while (left := box.processes()) and time.monotonic() < deadline:
        time.sleep(0.02)
    if left:
        lines = [f"{pid} {' '.join(argv)}" for pid, argv in left] + [str(found) for found in box.sockets()]
        for pid, _ in left:
            with suppress(ProcessLookupError):
                box.kill(pid, signal.SIGKILL)
        what = f"left on the {box.name} host {LEAVING:.0f} s after the test:"
        pytest.fail("\n".join([what, *lines]), pytrace=False)
