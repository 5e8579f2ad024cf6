"""A running ProxyCommand, for code that blocks; its pipe is a socket, as ``ssh`` makes it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile

FAREWELL = 1.0
"""Seconds that it may take to end, before it is killed."""


class ProxyCommand:
    """Start a command in the user's shell.

    Args:
        command: The command, with its tokens filled in.

    Attributes:
        pipe: Its stdin and stdout.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the command
        self.pipe, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {command}"],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=self._said,
                    start_new_session=True,
                )
        except BaseException:
            self.pipe.close()
            self._said.close()
            raise

    def last_words(self) -> str:
        """Give the end of what it wrote to stderr, once it has ended or after a moment."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(FAREWELL / 2)
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - 4096))
        return self._said.read().decode(errors="replace").strip()

    def close(self) -> None:
        """End the command and what it started; within two seconds."""
        self.pipe.close()
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, sign)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(FAREWELL)
        self._said.close()
