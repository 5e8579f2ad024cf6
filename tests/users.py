"""A user who types command lines, in processes of their own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hosts import wait_until

PROGRAM = str(Path(sys.executable).with_name("simmate-remote"))


class Typist:
    """Types command lines.

    Args:
        folder: Where.

    Attributes:
        told: What the last one wrote to stderr.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told = ""

    def __call__(self, *words: str, code: int = 0) -> str:
        """Type one, and give what it wrote to stdout."""
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
