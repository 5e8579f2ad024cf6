"""What a session says of itself: its state, since when, and the steps of a connect that is under way."""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from simmate_remote.errors import SessionStoppedError, SimmateRemoteError, error_to_dict

logger = logging.getLogger(__name__)


class State(enum.StrEnum):
    """The states of a session; to a user they are different things, and never merged."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting for you"
    STOPPED = "stopped"


class Progress:
    """The way from nothing to connected, for any number of listeners that come at any time.

    Args:
        host: The host's name.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.state = State.CONNECTING
        self.since = time.time()
        self.error: SimmateRemoteError | None = None
        self._steps: list[str] = []
        self._changed = asyncio.Event()

    def step(self, text: str) -> None:
        """Tell what is being done now."""
        logger.info("%s", text)
        self._steps.append(text)
        self._notify()

    def enter(self, state: State, error: SimmateRemoteError | None = None) -> None:
        """Enter a state."""
        if state is not self.state:
            self.state, self.since = state, time.time()
        self.error = error or self.error
        self._notify()

    async def follow(self) -> AsyncIterator[str]:
        """Yield the steps, past and to come, until the session is connected; none if it is.

        Raises:
            SimmateRemoteError: It could not connect.
        """
        told = len(self._steps) if self.state is State.CONNECTED else 0
        while True:
            changed = self._changed
            for text in self._steps[told:]:
                yield text
            told = len(self._steps)
            if self.state is State.CONNECTED:
                return
            if self.state is State.STOPPED:
                raise self.error or SessionStoppedError("the session was stopped", host=self.host)
            if not changed.is_set():
                await changed.wait()

    async def wait_stopped(self) -> None:
        """Wait until the session has stopped."""
        while self.state is not State.STOPPED:
            await self._changed.wait()

    def describe(self) -> dict[str, Any]:
        """Say what ``status`` shows."""
        return {
            "host": self.host,
            "state": str(self.state),
            "since": self.since,
            "error": error_to_dict(self.error) if self.error else None,
        }

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
