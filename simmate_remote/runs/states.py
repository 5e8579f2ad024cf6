"""The states of a run, and the one table of how they change; the database holds to it too.

::

    queued ──▶ running ──▶ finished
      ▲  │      │   ▲  └──▶ failed ─────┐
      │  │      ▼   │                   │ restarted
      │  │   interrupted ──▶ cancelled ─┤
      │  └────────▶ failed | cancelled  │
      └─────────────────────────────────┘

``lost`` is what the collector says of a run that has not ended when its folder, or the host's whole journal, is gone or
cannot be read. It can be found again, as interrupted.
"""

from __future__ import annotations

from collections import deque

TRANSITIONS: dict[str, tuple[str, ...]] = {
    "queued": ("running", "failed", "cancelled", "lost"),
    "running": ("finished", "failed", "cancelled", "interrupted", "lost"),
    "interrupted": ("running", "failed", "cancelled", "lost"),
    "finished": (),
    "failed": ("queued",),
    "cancelled": ("queued",),
    "lost": ("interrupted",),
}
"""Which states may follow each state. A run begins as queued."""

FIRST = "queued"
ENDED = ("finished", "failed", "cancelled")
UNENDED = tuple(state for state in TRANSITIONS if state not in ENDED)
LOSABLE = tuple(state for state, following in TRANSITIONS.items() if "lost" in following)
"""The states in which the host is bound to know the run."""

_UNTOLD = ("running", "interrupted")
"""States that may pass without a word: what would have told of them died first."""


def way(before: str, after: str) -> list[str] | None:
    """Give the states that a run enters on its way from one to another, the latter included.

    Between them only such states are assumed whose beginning can have gone untold.

    Args:
        before: The state it is in.
        after: The state that it is told to have entered; the same one again means that it left it in between.

    Returns:
        The states in turn; None: there is no such way.
    """
    waiting: deque[tuple[str, list[str]]] = deque([(before, [])])
    seen = {before}
    while waiting:
        state, passed = waiting.popleft()
        if after in TRANSITIONS[state]:
            return [*passed, after]
        for following in TRANSITIONS[state]:
            if following in _UNTOLD and following not in seen:
                seen.add(following)
                waiting.append((following, [*passed, following]))
    return None
