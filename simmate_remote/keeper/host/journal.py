"""The journal: what happened on the host while nobody was connected to it."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

ENTRIES = 200


class Work(NamedTuple):
    """What the scheduler has told of its tasks.

    Args:
        unfinished: Tasks that run, wait, or find no worker.
        finished: Tasks that have come to a result, since the scheduler began.
        erred: Tasks that have failed.
    """

    unfinished: int = 0
    finished: int = 0
    erred: int = 0


class Journal:
    """The latest events, and the latest time without any client.

    Times are in seconds since the epoch.
    """

    def __init__(self) -> None:
        self._entries: deque[tuple[float, str]] = deque(maxlen=ENTRIES)
        self._since: float | None = None
        self._until: float | None = None
        self._before = Work()
        self._after = Work()

    def add(self, what: str) -> None:
        """Note an event, in a sentence without a full stop."""
        self._entries.append((time.time(), what))

    def left_alone(self, work: Work) -> None:
        """Note that the last client has gone.

        Args:
            work: How much has been done up to now.
        """
        self._since, self._until, self._before = time.time(), None, work

    def visited(self, work: Work) -> None:
        """Note that a client has come again."""
        if self._since is not None and self._until is None:
            self._until, self._after = time.time(), work

    def describe(self, work: Work) -> dict[str, Any]:
        """Say what happened since the last client left, until a client came again.

        Args:
            work: How much has been done up to now.
        """
        after = work if self._until is None else self._after
        return {
            "alone_since": self._since,
            "alone_until": self._until,
            "events": [{"time": moment, "what": what} for moment, what in self._entries if self._was_alone(moment)],
            "finished": after.finished - self._before.finished,
            "erred": after.erred - self._before.erred,
        }

    def _was_alone(self, moment: float) -> bool:
        return self._since is not None and self._since <= moment <= (self._until or moment)
