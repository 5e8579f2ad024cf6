"""Bytes to and from the database, for a connection that another program makes: a worker, through its session."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Awaitable, Callable

from simmate_remote.database.configuration import Configuration
from simmate_remote.database.embedded.place import SOCKET, Place
from simmate_remote.database.embedded.server import Hold, ensure
from simmate_remote.database.tls import context_of, with_variables
from simmate_remote.database.url import parameters_of, without_password
from simmate_remote.errors import DatabaseUnreachableError, SimmateRemoteError
from simmate_remote.streams.splice import Splice, splice

logger = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds for a server of one's own to answer."""

TLS_REQUEST = struct.pack("!II", 8, 80877103)
REQUESTS_FOR_MORE = (80877103, 80877104)
"""A client's first packet may ask for TLS or GSSAPI; then its second one begins the conversation."""

CANNOT_CONNECT = b"57P03"


async def dial(configuration: Configuration) -> asyncio.Protocol:
    """Connect to the database, which is started if need be, and give the other side of a splice.

    Where there is no connection, that side answers as a server would that gives the reason: so whatever program made
    the connection shows it.
    """
    try:
        if configuration.kind == "embedded":
            return await _dial_embedded(configuration)
        near, far = splice()
        async with asyncio.timeout(TIMEOUT):
            if configuration.host is not None:
                # Here and not above: it imports pydantic, which a session, and a short command, do without.
                from simmate_remote.database.through_host import way_through

                await asyncio.get_running_loop().create_unix_connection(lambda: far, str(way_through(configuration)))
            else:
                await _dial_server(parameters_of(configuration.url), far)
    except SimmateRemoteError as error:
        logger.warning("the database cannot be lent: %s", error)
        return await refuse(error.what)
    except (OSError, EOFError, TimeoutError) as error:
        logger.warning("the database cannot be lent: %s", error)
        reason = "no answer" if isinstance(error, TimeoutError) else str(error)
        return await refuse(f"the database does not answer: {configuration.shown}: {reason}")
    return near


async def dial_over(open_stream: Open, url: str) -> asyncio.Protocol:
    """Give the other side of a splice for a connection through a host, encrypted as a URL says.

    Args:
        open_stream: Opens a stream to the server.
        url: The server's.
    """
    near, far = splice()
    try:
        async with asyncio.timeout(TIMEOUT):
            await _join(open_stream, parameters_of(url), far)
    except SimmateRemoteError as error:
        return await refuse(error.what)
    except (OSError, EOFError, TimeoutError) as error:
        return await refuse(f"the database does not answer: {without_password(url)}: {error or 'no answer'}")
    return near


class _HoldingSplice(Splice):
    """The side of a splice at the embedded server, which is kept running until this connection ends."""

    def __init__(self, hold: Hold) -> None:
        super().__init__()
        self._hold = hold

    def connection_lost(self, exc: Exception | None) -> None:
        self._hold.give_back()
        super().connection_lost(exc)


async def _dial_embedded(configuration: Configuration) -> asyncio.Protocol:
    place = Place(configuration.folder)
    hold = await asyncio.to_thread(Hold, place)
    try:
        folder = await asyncio.to_thread(ensure, place, configuration.lease)
        near, far = splice(_HoldingSplice(hold))
        await asyncio.get_running_loop().create_unix_connection(lambda: far, str(folder / SOCKET))
    except BaseException:
        hold.give_back()
        raise
    return near


async def _dial_server(parameters: dict[str, str], far: asyncio.Protocol) -> None:
    """Connect to a server as libpq would."""
    loop = asyncio.get_running_loop()
    place, port = parameters["host"], int(parameters["port"])
    if place.startswith("/"):
        await loop.create_unix_connection(lambda: far, f"{place}/.s.PGSQL.{port}")
        return

    async def connect(factory: Callable[[], _Answer]) -> tuple[asyncio.Transport, _Answer]:
        return await loop.create_connection(factory, parameters.get("hostaddr", place), port)

    await _join(connect, parameters, far)


class _Answer(asyncio.Protocol):
    """Takes the one byte that a server answers to the question whether it speaks TLS."""

    def __init__(self) -> None:
        self.byte: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if not self.byte.done():
            self.byte.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.byte.done():
            self.byte.set_exception(exc or EOFError("the connection was closed"))


Open = Callable[[Callable[[], _Answer]], Awaitable[tuple[asyncio.Transport, _Answer]]]


async def _join(open_connection: Open, parameters: dict[str, str], far: asyncio.Protocol) -> None:
    """Connect a protocol to a server: encrypted, where the server can, or as the URL demands."""
    parameters = with_variables(parameters)
    mode = parameters.get("sslmode", "prefer")
    transport, answer = await open_connection(_Answer)
    try:
        if mode != "disable" and not parameters["host"].startswith("/"):
            transport.write(TLS_REQUEST)
            if await answer.byte == b"S":
                context = context_of(parameters)
                loop = asyncio.get_running_loop()
                secure = await loop.start_tls(transport, far, context, server_hostname=parameters["host"])
                assert secure is not None
                far.connection_made(secure)
                return
            if mode not in ("allow", "prefer"):
                raise DatabaseUnreachableError(f"the database server speaks no TLS, and sslmode={mode} demands it")
    except BaseException:
        transport.abort()
        raise
    transport.set_protocol(far)
    far.connection_made(transport)


async def refuse(reason: str) -> asyncio.Protocol:
    """Give a side of a splice that behaves like a server of Postgres' which lets nobody in, and says why."""
    here, there = socket.socketpair()
    near, far = splice()
    await asyncio.get_running_loop().create_connection(lambda: far, sock=there)
    refusing = asyncio.create_task(_refuse(*await asyncio.open_connection(sock=here), reason))
    _refusing.add(refusing)
    refusing.add_done_callback(_refusing.discard)
    return near


_refusing: set[asyncio.Task[None]] = set()


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reason: str) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, OSError, TimeoutError):
        async with asyncio.timeout(TIMEOUT):
            while (await _packet(reader)) in REQUESTS_FOR_MORE:
                writer.write(b"N")
            fields = {b"S": b"FATAL", b"V": b"FATAL", b"C": CANNOT_CONNECT, b"M": reason.encode()}
            body = b"".join(kind + text + b"\0" for kind, text in fields.items()) + b"\0"
            writer.write(b"E" + struct.pack("!I", len(body) + 4) + body)
    writer.close()


async def _packet(reader: asyncio.StreamReader) -> int:
    """Read a client's first packet, and give its code."""
    size, code = struct.unpack("!II", await reader.readexactly(8))
    await reader.readexactly(min(size - 8, 10_000))
    return int(code)
