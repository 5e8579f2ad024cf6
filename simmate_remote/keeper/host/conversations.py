"""The conversations of a keeper: whose they are, which of them have lost their near end, and when that is for good."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from simmate_remote.keeper.host.lease import VISITOR, in_words
from simmate_remote.streams.clock import elapsed
from simmate_remote.streams.conversation import Acceptor, Conversation

logger = logging.getLogger(__name__)

MAX_GRAVES = 32


class Conversations:
    """All that near ends say to this keeper.

    Args:
        accept: Opens what a stream leads to.
        patience: Seconds without any carrier after which a conversation's near end counts as gone for good.
        changed: Called when the number of those that have a carrier may have changed.
        note: Told what happened, in a sentence without a full stop.
    """

    def __init__(
        self, accept: Acceptor, patience: float, changed: Callable[[], None], note: Callable[[str], None]
    ) -> None:
        self._accept = accept
        self._patience = patience
        self._changed = changed
        self._note = note
        self._known: dict[str, _Known] = {}
        self._graves: dict[str, Conversation] = {}

    @property
    def attached(self) -> int:
        """How many have a carrier; visitors do not count."""
        return sum(1 for known in self._known.values() if known.conversation.carriers and not known.visits)

    def attached_besides(self, conversation: Conversation | None) -> bool:
        """Say whether another conversation than this one has a carrier; visitors do not count."""
        others = (known for known in self._known.values() if known.conversation is not conversation)
        return any(known.conversation.carriers and not known.visits for known in others)

    def find(self, token: str, origin: str) -> Conversation | None:
        """Give the conversation with this token, one that has ended included.

        Args:
            token: Its secret.
            origin: The address from which a carrier now joins it; empty: unknown.
        """
        if (known := self._known.get(token)) is None:
            return self._graves.get(token)
        known.origin = origin or known.origin
        return known.conversation

    def begin(self, token: str, owner: str, origin: str) -> Conversation:
        """Begin a conversation."""
        conversation = Conversation(first=False, accept=self._accept, token=token, owner=owner)
        known = _Known(conversation, origin)
        conversation.carriers_changed = lambda: self._carriers_changed(token, known)
        self._known[token] = known
        return conversation

    def be_patient(self, patience: float) -> None:
        """Set how many seconds without any carrier mean that a near end is gone for good; it counts from now."""
        self._patience = patience
        for token, known in self._known.items():
            if known.timer is not None:
                self._wait_for_near_end(token, known)

    def forget_lost(self, owner: str) -> int:
        """End those of an owner that have no carrier, since their near end is gone for good; give their number."""
        lost = [
            token
            for token, known in self._known.items()
            if not known.conversation.carriers and known.conversation.owner == owner
        ]
        for token in lost:
            self._end(token, "another session of the same user and machine took over")
        return len(lost)

    def leave(self, token: str) -> None:
        """End one whose near end leaves properly: its streams end, and whoever is at their other ends learns it."""
        if token in self._known:
            self._end(token, "it left", news=False)

    def describe(self) -> list[dict[str, Any]]:
        """Say whose conversations there are, from where, since when, and which have lost their near end."""
        return [
            {
                "owner": known.conversation.owner,
                "from": known.origin,
                "since": known.since,
                "carriers": len(known.conversation.carriers),
                "lost_since": known.lost_since,
                "streams": known.conversation.streams,
            }
            for known in self._known.values()
            if not known.visits
        ]

    def _carriers_changed(self, token: str, known: _Known) -> None:
        if known.conversation.carriers:
            if known.timer is not None:
                known.timer.cancel()
                self._say(known, f"came back after {in_words(round(elapsed() - known.lost_at))}")
            known.timer = known.lost_since = None
        elif token in self._known and known.lost_since is None:
            if known.visits or known.conversation.ended is not None:
                self._end(token, known.conversation.ended or "the visit is over")
            else:
                known.lost_since, known.lost_at = time.time(), elapsed()
                self._say(known, "lost its connection")
                self._wait_for_near_end(token, known)
        self._changed()

    def _wait_for_near_end(self, token: str, known: _Known) -> None:
        if known.timer is not None:
            known.timer.cancel()
        reason = f"no connection for {in_words(self._patience)}"
        known.timer = asyncio.get_running_loop().call_later(self._patience, self._end, token, reason)

    def _end(self, token: str, reason: str, *, news: bool = True) -> None:
        known = self._known.pop(token)
        if known.timer is not None:
            known.timer.cancel()
        known.conversation.close(reason)
        if known.visits:
            return
        if news:
            self._say(known, f"was ended: {reason}")
        # What is kept of it says why to a near end that comes back after all, and holds none of its bytes.
        grave = Conversation(first=False, token=token, owner=known.conversation.owner)
        grave.close(reason)
        self._graves[token] = grave
        while len(self._graves) > MAX_GRAVES:
            del self._graves[next(iter(self._graves))]

    def _say(self, known: _Known, what: str) -> None:
        if not known.visits:
            logger.info("a session%s %s", f" from {known.origin}" if known.origin else "", what)
            self._note(f"a session{f' from {known.origin}' if known.origin else ''} {what}")


class _Known:
    """A conversation, and what is known of its near end."""

    def __init__(self, conversation: Conversation, origin: str) -> None:
        self.conversation = conversation
        self.origin = origin
        self.visits = conversation.owner == VISITOR
        self.since = time.time()
        self.lost_since: float | None = None
        self.lost_at = 0.0
        self.timer: asyncio.TimerHandle | None = None
