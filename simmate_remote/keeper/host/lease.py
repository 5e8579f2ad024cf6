"""The lease: how long everything on the host stays when nobody asks for it any more, and no work is left to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

VISITOR = "visitor"
"""The owner of a conversation that only looks: it holds nothing here, and leaves no trace."""


class Lease:
    """Runs out when nothing held it for its whole length.

    It counts the time for which this machine is awake: one that sleeps is kept from nobody, and one that wakes up after
    a night has not ended yet what its user comes back to. What is done to the clock does not matter.

    Args:
        length: Seconds.
        run_out: Called once, when the lease has run out.
    """

    def __init__(self, length: float, run_out: Callable[[], None]) -> None:
        self._length = length
        self._run_out = run_out
        self._held = False
        self._timer: asyncio.TimerHandle | None = None
        self._start()

    @property
    def length(self) -> float:
        """Seconds from when nothing holds it any more."""
        return self._length

    @property
    def ends(self) -> float | None:
        """When it runs out, in seconds since the epoch by the clock as it is now; None while it is held."""
        if self._timer is None:
            return None
        return time.time() + self._timer.when() - asyncio.get_running_loop().time()

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


def in_words(seconds: float) -> str:
    """Say a length of time in its largest fitting unit, like ``12 h``."""
    length, unit = next((each for each in ((86400, "d"), (3600, "h"), (60, "min")) if seconds >= each[0]), (1, "s"))
    return f"{seconds / length:g} {unit}"
