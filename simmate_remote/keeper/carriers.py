"""A second carrier beside the first: what one channel of SSH carries in a round trip is bounded by its window.

sshd grants each channel 2 MiB, and OpenSSH's client as much, whatever the network could do: 40 MB/s at 50 ms.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from simmate_remote.errors import ForbiddenByServerError, LinkLostError, SimmateRemoteError
from simmate_remote.link.base import Link
from simmate_remote.streams.carrier import NearCarrier
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.keepalive import Keepalive

logger = logging.getLogger(__name__)

WANTED = 2
"""Carriers of one conversation: two fill what TCP's usual 4 MB of buffers let through; docs/performance.md."""

DISTANT = 0.005
"""Seconds of a round trip from which on a window of 2 MiB is what bounds a channel, and not the processors at its
ends. Nearer than this a second carrier only brings bytes out of order, and puts them in order for nothing."""

QUESTIONS = 3
"""The shortest of so many round trips counts: others may have waited behind somebody's bytes."""

PAUSE = 2.0
"""Seconds before the first look at what is there, when the first result has come, and between any two."""

TIMEOUT = 20.0
"""Seconds for one more carrier over a link that may itself be dead without a word."""


class MoreCarriers:
    """Keep a conversation at two carriers for as long as a link lives, if the host is so far away that it helps.

    What the server allows is found out by trying: a channel to the keeper's socket, otherwise one more command, and
    where neither is possible the conversation stays with the carrier that it has. Without any carrier nothing is done:
    to bring a conversation back takes more than a carrier, and is its owner's work.

    Args:
        link: The login that the first carrier belongs to.
        conversation: What the carriers shall belong to.
        keepalive: How a silent loss is noticed.
        socket: Path on the host of the keeper's socket for carriers.
        attach: Joins one more carrier over a command, as the first one was.
        pause: Seconds before the first look at what is there, and between any two.
        distant: Seconds of a round trip from which on a second carrier is useful.
    """

    def __init__(
        self,
        link: Link,
        conversation: Conversation,
        keepalive: Keepalive,
        socket: str,
        attach: Callable[[], Awaitable[object]],
        *,
        pause: float = PAUSE,
        distant: float = DISTANT,
    ) -> None:
        self._link = link
        self._conversation = conversation
        self._keepalive = keepalive
        self._socket = socket
        self._ways: list[Callable[[], Awaitable[object]]] = [self._over_socket, attach]
        self._pause = pause
        self._distant = distant
        self._tending: asyncio.Task[None] | None = None

    @property
    def possible(self) -> bool:
        """Whether more may yet be made: they are useful, the server has not forbidden it, and the link lives."""
        return bool(self._ways)

    def start(self) -> None:
        """Begin to look after them, in the background."""
        self._tending = asyncio.create_task(self._tend())

    async def close(self) -> None:
        """Make no more; those that are there stay."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.wait({self._tending})

    async def _tend(self) -> None:
        await asyncio.sleep(self._pause)
        if not await self._is_distant():
            self._ways.clear()
        while self.possible:
            if 0 < len(self._conversation.carriers) < WANTED:
                await self._make_one()
            await asyncio.sleep(self._pause)

    async def _is_distant(self) -> bool:
        try:
            async with asyncio.timeout(TIMEOUT):
                times = [await self._conversation.round_trip() for _ in range(QUESTIONS)]
        except TimeoutError:
            return True  # whatever it is, it is not near
        return min(times) >= self._distant

    async def _make_one(self) -> None:
        while self._ways:
            try:
                async with asyncio.timeout(TIMEOUT):
                    await self._ways[0]()
            except ForbiddenByServerError as error:
                logger.info("no second carrier this way: %s", error.what)
                del self._ways[0]
                continue
            except LinkLostError:
                self._ways.clear()
            except (SimmateRemoteError, TimeoutError) as error:
                logger.info("no second carrier now: %s", error)
            return

    async def _over_socket(self) -> None:
        transport, carrier = await self._link.open_socket(
            self._socket, lambda: NearCarrier(self._conversation, self._keepalive)
        )
        try:
            await carrier.joined
        except BaseException:
            transport.abort()
            raise
