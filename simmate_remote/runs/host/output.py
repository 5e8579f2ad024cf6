"""What a run prints, in its folder as it is printed; its tasks, in whatever process, add to the same file."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

PIECE = 4096
"""Characters of a line that are written before it has an end."""


class Output:
    """Adds to the file of a run; what the disk does not take is lost, and the run goes on.

    Args:
        path: The file; made when there is something to write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._begun = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Add what is printed, a line at a time: those of several processes do not mix."""
        with self._lock:
            self._begun += text
            end = self._begun.rfind("\n") + 1
            if len(self._begun) - end > PIECE:
                end = len(self._begun)
            if end:
                ready, self._begun = self._begun[:end], self._begun[end:]
                self._add(ready)

    def close(self) -> None:
        """Write what is left."""
        with self._lock:
            if self._begun:
                self._add(self._begun)
                self._begun = ""
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _add(self, text: str) -> None:
        with contextlib.suppress(OSError):
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.write(self._fd, text.encode(errors="replace"))
