"""End processes: asked first, and made to after a grace."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterable

POLL = 0.02

LONGEST_POLL = 1.0
"""Seconds; what not even SIGKILL ends may wait for a file server that has been away for days."""


def end_all(find: Callable[[], Iterable[int]], grace: float) -> None:
    """End every process that is found, until none is found any more.

    Args:
        find: Gives the process ids.
        grace: Seconds before a process that was asked is made to.
    """
    deadline = time.monotonic() + grace
    asked: set[int] = set()
    pause = POLL
    while found := list(find()):
        late = time.monotonic() > deadline
        for pid in found:
            if late or pid not in asked:
                asked.add(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        reap()
        # Not time.sleep, which waits for a point in time: where a clock is faked, that may be an hour away.
        select.select([], [], [], pause)
        if late:
            pause = min(2 * pause, LONGEST_POLL)


def reap() -> None:
    """Take note of the children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
