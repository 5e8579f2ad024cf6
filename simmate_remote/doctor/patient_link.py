"""A link that waits a moment where a server refuses a channel: it may not have counted an earlier one as closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from simmate_remote.errors import ForbiddenByServerError, LinkLostError
from simmate_remote.link.base import Link, ProtocolT

BETWEEN = 0.02  # seconds


class PatientLink(Link):
    """One login, at a server that may allow one command at a time.

    A near end learns that a command has ended before the server has counted it as closed.

    Args:
        link: The login itself.
        patience: Seconds after which a refusal is believed.
    """

    def __init__(self, link: Link, patience: float) -> None:
        self._link = link
        self._patience = patience
        self.destination = link.destination
        self.report = link.report

    def with_patience(self, seconds: float) -> PatientLink:
        """Give the same login, with another patience."""
        return PatientLink(self._link, seconds)

    async def open_command(
        self, command: str, protocol_factory: Callable[[], ProtocolT]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        return await self._patiently(lambda: self._link.open_command(command, protocol_factory))

    async def open_subsystem(
        self, name: str, protocol_factory: Callable[[], ProtocolT]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        return await self._patiently(lambda: self._link.open_subsystem(name, protocol_factory))

    async def open_socket(
        self, path: str, protocol_factory: Callable[[], ProtocolT]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        return await self._link.open_socket(path, protocol_factory)

    async def wait_lost(self) -> LinkLostError:
        return await self._link.wait_lost()

    async def close(self) -> None:
        await self._link.close()

    async def _patiently(
        self, open_channel: Callable[[], Awaitable[tuple[asyncio.Transport, ProtocolT]]]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return await open_channel()
            except ForbiddenByServerError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(BETWEEN)
