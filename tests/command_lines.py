"""A user who types command lines, each of which is a process of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.boxes import Box
from tests.hosts import wait_until

PROGRAM = str(Path(sys.executable).with_name("simmate-remote"))


class User:
    """Types command lines, in a folder with code of their own.

    Args:
        folder: Where.
        box: The host that they are connected to.
        host: What they call it.

    Attributes:
        told: What the last command wrote to stderr.
    """

    def __init__(self, folder: Path, box: Box, host: str) -> None:
        self.folder = folder
        self.box = box
        self.host = host
        self.told = ""

    def __call__(self, *words: str, code: int = 0) -> str:
        """Type a command line, and give what it wrote to stdout."""
        done = subprocess.run(
            [PROGRAM, *words], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        self.told = done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def runs(self, *words: str) -> list[dict[str, Any]]:
        """List runs, the newest first."""
        return list(json.loads(self("runs", *words, "--json")))

    def until(self, condition: Callable[[list[dict[str, Any]]], bool], limit: float = 40) -> dict[str, Any]:
        """Wait until the rows are as they shall be, and give the newest."""

        def holds() -> bool:
            with contextlib.suppress(IndexError):
                return condition(self.runs())
            return False

        wait_until(holds, limit, "the rows")
        return self.runs()[0]


@contextlib.contextmanager
def connected(folder: Path, box: Box, code: str, patch: pytest.MonkeyPatch) -> Iterator[User]:
    """Give a user who is connected to a host, and end all that they have there at last.

    Args:
        folder: An empty one; the code is in its ``work.py``.
        box: The host.
        code: The user's own.
        patch: Sets what they have in their environment.
    """
    host = box.inventory(folder / "hosts").stem
    patch.setenv("SIMMATE_REMOTE_HOSTS", str(folder / "hosts"))
    patch.setenv("COLUMNS", "200")
    (folder / "work.py").write_text(code)
    user = User(folder, box, host)
    user("connect", host)
    try:
        yield user
    finally:
        user("disconnect", host, "--stop")
