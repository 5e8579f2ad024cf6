"""Who looks at rows waits a moment for those that a session is just writing: by a lock, which ends with its holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

import platformdirs

PATIENCE = 3.0
"""Seconds that a look waits at the most: the first rows of all may have to wait for the database to be made."""

STEP = 0.02


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Let others know that rows are being written."""
    with _opened() as fd:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield


def wait_settled() -> None:
    """Wait until nobody here is writing rows, or a few seconds."""
    deadline = time.monotonic() + PATIENCE
    with _opened() as fd:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(STEP)
            else:
                return


@contextlib.contextmanager
def _opened() -> Iterator[int]:
    folder = platformdirs.user_state_path("simmate-remote")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / "rows.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
