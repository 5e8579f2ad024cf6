"""What a fault is: what happens, for how long, under which conditions, and what must become of the work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from faults.place import Place

Happening = Callable[[Place, float], AbstractContextManager[None]]
"""Breaks something at a place when it is entered, and mends it when it is left; told how many seconds that will be."""

PROMPT = 10.0
"""Seconds within which whoever waits must hear of an end that cannot be helped."""


@contextlib.contextmanager
def nothing(place: Place, seconds: float) -> Iterator[None]:
    """Let nothing happen: the conditions are the fault."""
    yield


@dataclass(frozen=True)
class Fault:
    """One row of the matrix.

    Args:
        name: What happens, in words; ``{seconds}`` in it is how long.
        happens: What breaks it, in the middle of a round of work.
        seconds: How long it stays broken; 0: it is possible again at once.
        quick_seconds: The same in the short form.
        conditions: What holds all the time, from before the user connects.
        needs_lab: Whether it takes the lab, with its network and its sshd.
        quiet: Whether the host says nothing by itself meanwhile, and has no work for longer than a moment.
        up: Bytes that are on their way to the host meanwhile; None: as always.
        told: What every waiting client must hear, a regular expression of ``Type: words``; None: nothing is lost,
            and nobody hears anything.
        again: Whether tasks may be started twice, since what the host's memory held of them is gone; then it may be
            that nobody has to hear of it.
        ends_all: Whether everything on the host must end with it.
    """

    name: str
    happens: Happening
    seconds: float = 0
    quick_seconds: float = 0
    conditions: Happening = nothing
    needs_lab: bool = False
    quiet: bool = False
    up: int | None = None
    told: str | None = None
    again: bool = False
    ends_all: bool = False

    def title(self, seconds: float) -> str:
        """Give its name in full."""
        return self.name.format(seconds=f"{seconds / 60:g} min" if seconds >= 120 else f"{seconds:g} s")
