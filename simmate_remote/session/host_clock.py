"""Times that a host has told, by the clock here: that one may be wrong, or this one."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any

LEAST = 2.0
"""Seconds that two clocks must differ before times are corrected: less is within what the question itself took."""

_TIMES = frozenset({"since", "ended", "time", "alone_since", "alone_until", "lost_since", "lease_ends"})


async def ahead_of_ours(asked: Awaitable[dict[str, Any]]) -> tuple[dict[str, Any], float]:
    """Take an answer that says what ``time`` it is there, and give with it how many seconds that clock is ahead.

    Args:
        asked: Gives the answer.
    """
    before = time.time()
    answer = await asked
    middle = (before + time.time()) / 2
    ahead = answer.pop("time", middle) - middle  # a keeper of another version may not say
    return answer, ahead if abs(ahead) >= LEAST else 0.0


def by_our_clock(told: Any, ahead: float) -> Any:
    """Give what a host has told with its times by the clock here.

    Args:
        told: Plain data.
        ahead: Seconds that the host's clock is ahead.
    """
    if isinstance(told, dict):
        return {
            name: value - ahead if name in _TIMES and isinstance(value, int | float) else by_our_clock(value, ahead)
            for name, value in told.items()
        }
    return [by_our_clock(each, ahead) for each in told] if isinstance(told, list) else told
