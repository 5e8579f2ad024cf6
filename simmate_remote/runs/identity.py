"""A run's id: a UUID of version 7 (RFC 9562), whose text sorts by the time at which it was made."""

from __future__ import annotations

import os
import re
import threading
import time
import uuid

_PATTERN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_COUNTER_BITS = 42
"""Bits that count within a millisecond, from a random beginning; the 32 after them are random each time."""

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """Make an id: later than every one that this process has made before, and like none of any other process."""
    global _last  # noqa: PLW0603 - ids of one process are in one order
    with _lock:
        # The counter begins in the lower half of its range, so that it hardly ever runs into the next millisecond.
        now = time.time_ns() // 1_000_000 << _COUNTER_BITS
        fresh = now | int.from_bytes(os.urandom(6), "big") >> (48 - _COUNTER_BITS + 1)
        # A clock that was set back, or many within a millisecond: count on.
        _last = counted = max(fresh, _last + 1)
    milliseconds, counter = counted >> _COUNTER_BITS, counted & ((1 << _COUNTER_BITS) - 1)
    high, low = counter >> 30, counter & ((1 << 30) - 1)
    number = milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low << 32 | int.from_bytes(os.urandom(4), "big")
    return str(uuid.UUID(int=number))


def is_id(text: str) -> bool:
    """Say whether a text is the id of a run, in its one form: such a text is also safe as a folder's name."""
    return _PATTERN.fullmatch(text) is not None


def time_of(identity: str) -> float:
    """Give when an id was made, by the clock of the machine that made it, in seconds since the epoch."""
    return int(identity.replace("-", "")[:12], 16) / 1000
