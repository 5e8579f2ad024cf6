"""The lease: how long everything on the host stays when nobody asks for it any more, and no work is left to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Lease:
    """Runs out when nothing held it for its whole length.

    Args:
        length: Seconds.
        run_out: Called once, when the lease has run out.
    """

    def __init__(self, length: float, run_out: Callable[[], None]) -> None:
        self._length = length
        self._run_out = run_out
        self._held = False
        self._timer: asyncio.TimerHandle | None = None
        self._ends = 0.0
        self._start()

    @property
    def length(self) -> float:
        """Seconds from when nothing holds it any more."""
        return self._length

    @property
    def ends(self) -> float | None:
        """When it runs out, in seconds since the epoch; None while it is held."""
        return None if self._timer is None else self._ends

    def renew(self, length: float) -> None:
        """Set another length; it counts from now."""
        self._length = length
        if not self._held:
            self._start()

    def hold(self, held: bool) -> None:
        """Say whether a client is there, or work is unfinished."""
        if held and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif self._held and not held:
            self._start()
        self._held = held

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._length, self._run_out)
        self._ends = time.time() + self._length


def in_words(seconds: float) -> str:
    """Say a length of time in its largest fitting unit, like ``12 h``."""
    length, unit = next((each for each in ((86400, "d"), (3600, "h"), (60, "min")) if seconds >= each[0]), (1, "s"))
    return f"{seconds / length:g} {unit}"
