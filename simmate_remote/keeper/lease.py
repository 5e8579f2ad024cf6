"""The lease: how long everything on the host stays when nobody asks for it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Lease:
    """Runs out when nobody held it for its whole length.

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
        """Seconds after the last holder left."""
        return self._length

    def renew(self, length: float) -> None:
        """Set another length; it counts from now."""
        self._length = length
        if not self._held:
            self._start()

    def hold(self, held: bool) -> None:
        """Say whether somebody is there."""
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
