"""The link through asyncssh: no program needed, every question asked where ``connect`` was typed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

import asyncssh

from simmate_remote.errors import ForbiddenByServerError, LinkLostError
from simmate_remote.link import refusals
from simmate_remote.link.base import Ask, Destination, Link, LinkReport, ProtocolT
from simmate_remote.link.carrier import CommandSession, UnixSession
from simmate_remote.link.dial import Dialled
from simmate_remote.link.failures import timed_out
from simmate_remote.link.handshake import LoggedIn, log_in
from simmate_remote.link.hop import Hop
from simmate_remote.link.keys import Unlocked
from simmate_remote.link.packets import acknowledging_at_once, spare_empty_packets
from simmate_remote.link.text import printable

WINDOW = 16 * 1024 * 1024
"""Bytes that a host may send on one channel ahead of us; 2 MiB, the usual value, is 40 MB/s at 50 ms."""

PACKET = 128 * 1024
"""Bytes of one packet to us: a server has less work with larger ones, and asyncssh twice as much from 200 kB on."""

_FAREWELL = 2.0  # seconds for each hop to close

# At its own levels below, asyncssh writes commands and user names, and at the lowest even what is typed.
logging.getLogger("asyncssh").setLevel(logging.WARNING)


class AsyncSSHLink(Link):
    """One login, and the logins at jump hosts that lead to it.

    Args:
        destination: The host.
    """

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.report = LinkReport()
        self._way: list[LoggedIn] = []
        self._used = False
        self._lost: asyncio.Future[LinkLostError] = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(cls, way: Sequence[Hop], ask: Ask | None = None, dialled: Dialled | None = None) -> AsyncSSHLink:
        """Log in to one machine after another.

        Args:
            way: The machines; the last one is the host.
            ask: Answers the questions that only a person can answer; without it, nobody can be asked.
            dialled: The pipe to the first machine, if that was begun ahead.

        Raises:
            LinkError: One of its subclasses for each way to fail; nothing is left open then.
        """
        link = cls(way[-1].destination)
        unlocked: Unlocked = {}
        try:
            for hop in way:
                await link.extend(hop, ask, unlocked, dialled if hop is way[0] else None)
        except BaseException:
            await link.close()
            raise
        return link

    async def extend(self, hop: Hop, ask: Ask | None, unlocked: Unlocked, dialled: Dialled | None = None) -> None:
        """Log in to the next machine on the way."""
        there = await log_in(hop, self._way[-1].connection if self._way else None, ask, unlocked, dialled)
        spare_empty_packets(there.connection)
        self._way.append(there)
        self.report = there.login.report
        there.login.lost = lambda error: self._end(hop, error)
        if there.connection.is_closed():
            raise self._end(hop, None)

    async def open_command(
        self, command: str, protocol_factory: Callable[[], ProtocolT]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        return await self._open_session(command, None, protocol_factory)

    async def open_subsystem(
        self, name: str, protocol_factory: Callable[[], ProtocolT]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        return await self._open_session(None, name, protocol_factory)

    async def _open_session(
        self, command: str | None, subsystem: str | None, protocol_factory: Callable[[], ProtocolT]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        session = CommandSession(protocol_factory, self._why)
        connection = self._connection()
        await self._opened(
            connection.create_session(
                lambda: session,
                command,
                subsystem=subsystem,
                encoding=None,
                window=WINDOW,
                max_pktsize=PACKET,
                request_pty=False,
            ),
            self._command_forbidden,
        )
        return session.transport, session.protocol

    async def open_socket(
        self, path: str, protocol_factory: Callable[[], ProtocolT]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        session = UnixSession(protocol_factory, self._why)
        connection = self._connection()
        await self._opened(
            connection.create_unix_connection(lambda: session, path, encoding=None, window=WINDOW, max_pktsize=PACKET),
            lambda error: self._socket_forbidden(path, error),
        )
        return session.transport, session.protocol

    async def wait_lost(self) -> LinkLostError:
        return await asyncio.shield(self._lost)

    async def close(self) -> None:
        self._finish(LinkLostError("the link was closed", host=self.destination.host))
        for there in reversed(self._way):
            there.connection.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await there.connection.wait_closed()
            if there.proxy is not None:
                await there.proxy.close()

    def _connection(self) -> asyncssh.SSHClientConnection:
        if self._lost.done():
            raise self._lost.result()
        return self._way[-1].connection

    async def _opened(
        self, opening: Awaitable[object], forbidden: Callable[[asyncssh.ChannelOpenError], ForbiddenByServerError]
    ) -> None:
        """Wait for a channel, not longer than a step may take."""
        hop = self._way[-1].hop
        first, self._used = not self._used, True
        try:
            with acknowledging_at_once(self._way[0].connection) if first else contextlib.nullcontext():
                async with asyncio.timeout(hop.patience):
                    await opening
        except asyncssh.ChannelOpenError as error:
            if self._lost.done():
                raise self._lost.result() from error
            if self._way[-1].connection.is_closed():
                raise self._end(hop, error) from error
            raise forbidden(error) from error
        except TimeoutError as error:
            raise timed_out(hop, "opening a channel") from error

    def _command_forbidden(self, error: asyncssh.ChannelOpenError) -> ForbiddenByServerError:
        return refusals.command_forbidden(self._way[-1].hop, printable(error.reason))

    def _socket_forbidden(self, path: str, error: asyncssh.ChannelOpenError) -> ForbiddenByServerError:
        return refusals.socket_forbidden(self._way[-1].hop, path, printable(error.reason))

    def _why(self, error: Exception | None) -> Exception | None:
        """Translate the end of a channel: its own, in peace, or the link's."""
        if self._lost.done():
            return self._lost.result()
        return None if error is None else self._end(self._way[-1].hop, error)

    def _end(self, hop: Hop, error: Exception | None) -> LinkLostError:
        """Note that the connection to a hop has ended, and give up the others: without one, there is no link."""
        why = printable(str(error)) if error else "the server closed it"
        self._finish(refusals.lost(hop, why))
        for there in self._way:
            there.connection.abort()
        return self._lost.result()

    def _finish(self, reason: LinkLostError) -> None:
        """Set the reason; only the first one counts."""
        if not self._lost.done():
            self._lost.set_result(reason)
