"""The box: a machine of its own, made of namespaces, with its own processes, network, files and host name."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.lab.folder import ENVIRONMENTS, LabFolder
from tests.lab.processes import BoxProcess, list_processes

CHECKOUT = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = "/usr/bin/python3"
START_LIMIT = 20.0


class Box:
    """Starts and ends the machine, and runs commands on it without SSH.

    Args:
        folder: The lab's folder; ``etc`` and ``home`` in it are the box's disk, which survives a reboot.
        hostname: What the box calls itself.
    """

    def __init__(self, folder: LabFolder, hostname: str = "lab-box") -> None:
        self._folder = folder
        self.hostname = hostname
        self.init_pid = 0
        self._init: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Boot the machine; it has loopback and nothing else yet."""
        settings = {
            "hostname": self.hostname,
            "folder": str(self._folder.path),
            "environments": str(ENVIRONMENTS),
            "hidden": [str(CHECKOUT)],
        }
        namespaces = ["--net", "--mount", "--pid", "--uts", "--ipc"]
        program = [SYSTEM_PYTHON, "-I", "-S", str(Path(__file__).with_name("boot.py")), json.dumps(settings)]
        self._init = start_helper(
            ["unshare", *namespaces, "--fork", "--kill-child", "--propagation", "unchanged", *program]
        )
        self.init_pid = int(read_line(self._init, "the box did not boot"))
        self._folder.record_process(self.init_pid)

    def stop(self) -> None:
        """Switch the machine off, without warning: every process of it is killed."""
        if self._init is None:
            return
        end_helper(self._init)
        self._init = None

    def enter(self, *, user: str | None = "root") -> list[str]:
        """Return the words that, before a command, make it run on the box.

        Args:
            user: Whose rights and environment it gets; ``None``: root's rights, with the caller's environment.
        """
        words = ["nsenter", f"--target={self.init_pid}", "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
        if user is not None:
            words += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env"]
        return words

    def popen(self, user: str, command: str | Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """Start a command on the box, in the user's home.

        Args:
            user: Whose rights and environment it gets.
            command: A text for /bin/sh, or the words of a command.
            options: For :class:`subprocess.Popen`.
        """
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        at_home = ["/bin/sh", "-c", 'cd && exec "$@"', "sh", *words]
        return subprocess.Popen([*self.enter(user=user), *at_home], text=True, **options)

    def run(
        self, user: str, command: str | Sequence[str], *, text: str = "", seconds: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the box, in the user's home.

        Args:
            user: Whose rights and environment it gets.
            command: A text for /bin/sh, or the words of a command.
            text: What it reads from stdin.
            seconds: Time limit.
            check: Whether a non-zero exit is an error.

        Raises:
            AssertionError: It failed; with all that it wrote.
            subprocess.TimeoutExpired: It took too long, and was killed.
        """
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with self.popen(user, command, start_new_session=True, **pipes) as process:
            try:
                output, errors = process.communicate(text, timeout=seconds)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if check and process.returncode:
            raise AssertionError(f"{user}: {command!r} ended with {process.returncode}:\n{output}{errors}")
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def processes(self) -> list[BoxProcess]:
        """Return every living process of the box, except its first."""
        return [process for process in list_processes(self.init_pid) if process.seen.pid != 1]

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        """Send a signal to a process.

        Args:
            pid: Its number on the box.
            number: The signal.

        Raises:
            ProcessLookupError: There is no such process.
        """
        for process in self.processes():
            if process.seen.pid == pid:
                os.kill(process.outside_pid, number)
                return
        raise ProcessLookupError(f"no process {pid} on {self.hostname}")


def start_helper(words: list[str]) -> subprocess.Popen[str]:
    """Start a program that ends when its stdin does, and so never outlives this process."""
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)


def read_line(helper: subprocess.Popen[str], complaint: str) -> str:
    """Return the line that a helper prints when it is ready.

    Raises:
        RuntimeError: It ended, or said nothing in time.
    """
    assert helper.stdout is not None
    readable, _, _ = select.select([helper.stdout], [], [], START_LIMIT)
    line = helper.stdout.readline() if readable else ""
    if not line:
        end_helper(helper)
        raise RuntimeError(f"{complaint} (exit status {helper.returncode}; its words are above)")
    return line


def end_helper(helper: subprocess.Popen[str]) -> None:
    """Close a helper's stdin and see it end."""
    assert helper.stdin is not None
    assert helper.stdout is not None
    helper.stdin.close()
    try:
        helper.wait(5)
    except subprocess.TimeoutExpired:
        helper.kill()
        helper.wait()
    helper.stdout.close()
