"""What a session says of itself: its state, since when, why, and what is being done about it."""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from simmate_remote.errors import SessionStoppedError, SimmateRemoteError, error_to_dict
from simmate_remote.streams.clock import elapsed

logger = logging.getLogger(__name__)

MAX_STEPS = 200
MAX_OUTAGES = 100


class State(enum.StrEnum):
    """The states of a session; to a user they are different things, and never merged."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    WAITING = "waiting for you"
    STOPPED = "stopped"


class Progress:
    """The way from nothing to connected, and back to it, for any number of listeners that come at any time.

    Args:
        host: The host's name.

    Attributes:
        state: Where the session is.
        since: Since when, in seconds since the epoch.
        error: Why it is not connected; None while it is, or is about to be for the first time.
        outages: When the host could not be reached, and why: the latest ones.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.state = State.CONNECTING
        self.since = time.time()
        self.error: SimmateRemoteError | None = None
        self.outages: deque[dict[str, Any]] = deque(maxlen=MAX_OUTAGES)
        self._went_out = 0.0
        self._away = _nobody_was_told()
        self._steps: deque[str] = deque(maxlen=MAX_STEPS)
        self._counted = 0  # steps that were ever told
        self._chapter = 0  # how many of them there were when the way that is under way began
        self._changed = asyncio.Event()

    def step(self, text: str) -> None:
        """Tell what is being done now; what is repeated is told once."""
        if self._counted > self._chapter and self._steps and self._steps[-1] == text:
            return
        logger.info("%s", text)
        self._steps.append(text)
        self._counted += 1
        self._notify()

    def enter(self, state: State, error: SimmateRemoteError | None = None) -> None:
        """Enter a state.

        Args:
            state: The state.
            error: Why the session is not connected.
        """
        if state is not self.state:
            logger.info("%s%s", state, f": {error.what}" if error else "")
            self.state, self.since = state, time.time()
        if state is State.CONNECTED:
            self.error = None
            self._chapter = self._counted
        else:
            self.error = error or self.error
        self._notify()

    def went_out(self, error: SimmateRemoteError) -> None:
        """Note that the host cannot be reached any more."""
        self._went_out = elapsed()
        self.outages.append({"began": time.time(), "ended": None, "reason": error.what})
        self.enter(State.RECONNECTING, error)

    def came_back(self) -> None:
        """Note that it can."""
        outage = self.outages[-1]
        seconds = elapsed() - self._went_out
        # Both by the clock as it is now: it may have been corrected meanwhile, as after a long sleep.
        outage["ended"] = time.time()
        outage["began"] = outage["ended"] - seconds
        self._away["count"] += 1
        self._away["seconds"] += seconds
        self._away["since"] = self._away["since"] or outage["began"]
        self._away["last"] = outage
        self.enter(State.CONNECTED)

    def take_away(self) -> dict[str, Any]:
        """Give how often the link was away since this was last asked (``count``), for how long (``seconds``).

        ``since`` is the begin of the first such outage, and ``last`` the last one; both are None if there was none.
        """
        away, self._away = self._away, _nobody_was_told()
        return away

    async def follow(self) -> AsyncIterator[str]:
        """Yield the steps, past and to come, until the session is connected; none if it is.

        Raises:
            SimmateRemoteError: It could not connect.
        """
        told = self._counted if self.state is State.CONNECTED else self._chapter
        while True:
            changed = self._changed
            new = self._counted - told
            for text in list(self._steps)[-new:] if new else ():
                yield text
            told += new
            if self.state is State.CONNECTED:
                return
            if self.state is State.STOPPED:
                raise self.error or SessionStoppedError("the session was stopped", host=self.host)
            if not changed.is_set():
                await changed.wait()

    async def changes(self) -> AsyncIterator[dict[str, Any]]:
        """Yield each state that is entered from now on, until the session is stopped.

        Raises:
            SimmateRemoteError: Why it stopped; always.
        """
        seen = (self.state, self.since)
        while self.state is not State.STOPPED:
            changed = self._changed
            if (self.state, self.since) != seen:
                seen = (self.state, self.since)
                yield self.describe()
            if not changed.is_set():
                await changed.wait()
        raise self.error or SessionStoppedError("the session was stopped", host=self.host)

    async def wait_left(self, state: State) -> None:
        """Wait until the session is in another state."""
        while self.state is state:
            await self._changed.wait()

    def describe(self) -> dict[str, Any]:
        """Say what ``status`` shows."""
        return {
            "host": self.host,
            "state": str(self.state),
            "since": self.since,
            "error": error_to_dict(self.error) if self.error else None,
            "outages": list(self.outages),
        }

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _nobody_was_told() -> dict[str, Any]:
    return {"count": 0, "seconds": 0.0, "since": None, "last": None}


def change_in_words(report: dict[str, Any], before: dict[str, Any] | None) -> str:
    """Say what a change of state means to somebody who waits for work on the host.

    Args:
        report: The state that was entered, as :meth:`Progress.describe` gives it.
        before: The one before it, if it is known.
    """
    state, reason = report["state"], (report["error"] or {}).get("what", "")
    if state == State.CONNECTED:
        outages = report["outages"]
        seconds = outages[-1]["ended"] - outages[-1]["began"] if outages and outages[-1]["ended"] else 0.0
        return f"connected again after {seconds:.0f} s; nothing was lost"
    clock = time.strftime("%H:%M:%S", time.localtime(report["since"]))
    if state == State.RECONNECTING and before is not None and before["state"] == State.WAITING:
        return f"trying again since {clock}"
    if state == State.RECONNECTING:
        return f"since {clock}: {reason}; work there goes on, and waiting here costs nothing"
    return f"since {clock} it waits for you: {reason}; type: simmate-remote connect {report['host']}"
