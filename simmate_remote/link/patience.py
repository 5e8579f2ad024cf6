"""How long a login waits: each step of the server has a limit, a person has none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from simmate_remote.link.failures import CONNECTING


class Patience:
    """Bound each step that waits for a server, and none that waits for a person.

    Used as an asynchronous context manager around a login; it raises :class:`TimeoutError` when a step takes too
    long, and :attr:`step` says which. A step
    that was begun before has its time from the entry on.

    Args:
        seconds: The limit of one step.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = self._limit = seconds
        self.step = CONNECTING
        self._timeout = asyncio.timeout(seconds)
        self._questions = 0
        self._running = False

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._running = True
        self._arm()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        await self._timeout.__aexit__(kind, error, trace)

    @property
    def expired(self) -> bool:
        """Whether a step took too long."""
        return self._timeout.expired()

    def begin(self, step: str, seconds: float | None = None) -> None:
        """Start the time of the next step, named as in "nothing came while <step>".

        Args:
            step: Its name.
            seconds: Its own limit, where it has one.
        """
        self.step = step
        self._limit = self.seconds if seconds is None else seconds
        self._arm()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the time while a person is asked; the step then has its full time again."""
        self._questions += 1
        self._arm()
        try:
            yield
        finally:
            self._questions -= 1
            self._arm()

    def _arm(self) -> None:
        # A timeout that fired is on its way out: asyncio forbids to move it any more.
        if self._running and not self._timeout.expired():
            now = asyncio.get_running_loop().time()
            self._timeout.reschedule(None if self._questions else now + self._limit)
