"""When a carrier that is silent counts as lost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Keepalive:
    """How a silent loss is noticed.

    Args:
        interval: Seconds of silence after which the other end is asked.
        tries: Unanswered questions after which the carrier is lost.
    """

    interval: float = 5.0
    tries: int = 3
