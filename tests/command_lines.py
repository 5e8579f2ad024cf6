"""A user who types command lines, each of which is a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boxes import Box
from tests.users import Typist


class User(Typist):
    """Types command lines, in a folder with code of their own.

    Args:
        folder: Where.
        box: The host that they are connected to.
        host: What they call it.
    """

    def __init__(self, folder: Path, box: Box, host: str) -> None:
        super().__init__(folder)
        self.box = box
        self.host = host


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
