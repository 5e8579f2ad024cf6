"""How much time has passed, whatever is done to the clock that says what time it is."""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux, the usual one for this stands still while the machine sleeps, and so does asyncio's."""


def elapsed() -> float:
    """Give the seconds since some moment in the past, those for which the machine slept included."""
    return time.clock_gettime(_CLOCK)
