"""The door to the host's dashboard on this machine: a port of 127.0.0.1 that opens for the right token.

Every user of this machine can connect to 127.0.0.1, and so can the pages of every site that its user visits. So a
browser first shows a token, then keeps it in a cookie. What is let through is decided in
:mod:`simmate_remote.session.gate_rules`; here the bytes are moved: one request on one connection to the host.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Self

from tornado.httputil import HTTPInputError

from simmate_remote.errors import Remedy, SessionError, SimmateRemoteError
from simmate_remote.link.giving_up import give_up
from simmate_remote.session.gate_pages import refused_page, unavailable_page
from simmate_remote.session.gate_relay import Stream, closing, relay_body, relay_websocket
from simmate_remote.session.gate_rules import GateRules, client_response, upstream_request, wants_websocket
from simmate_remote.session.http_heads import RequestHead, ResponseHead, parse_request_head, parse_response_head

logger = logging.getLogger(__name__)

OpenUpstream = Callable[[], Awaitable[Stream]]
"""Opens a connection to the socket on the host that serves the scheduler's pages."""

HEAD_BYTES = 32 * 1024
"""The longest head of a request; bokeh's own are about 2 kB."""

HEAD_SECONDS = 10.0
"""How long a client may take for its head."""

WAITING_CLIENTS = 128
"""How many clients may be about to send a head; for one more, the one that has waited longest has to go."""

UPSTREAM_SECONDS = 30.0
"""How long the host may stay silent, before and within a response; a websocket may be silent for ever."""

RETRY_SECONDS = 3
"""After how long a browser asks again for a page of a host that does not answer."""

_HEAD_END = b"\r\n\r\n"


class DashboardGate:
    """Serve the dashboard of one host on 127.0.0.1, to those who know the token.

    Args:
        host: The host, as the user calls it.
        open_upstream: Opens a connection to the scheduler's pages on the host.
    """

    def __init__(self, host: str, open_upstream: OpenUpstream) -> None:
        self.host = host
        self._open_upstream = open_upstream
        self._token = secrets.token_urlsafe(32)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.StreamWriter, None] = {}

    async def start(self, port: int = 0) -> None:
        """Begin to listen.

        Args:
            port: The port on 127.0.0.1; 0 takes a free one.

        Raises:
            SessionError: Another program has the port.
        """
        try:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=HEAD_BYTES)
        except OSError as error:
            raise SessionError(
                f"port {port} of this machine cannot be used for the dashboard: {error.strerror or error}",
                host=self.host,
                remedies=(Remedy("simmate-remote status", "shows whether another session has it"),),
            ) from error
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._rules = GateRules(self.port, self._token)

    @property
    def link(self) -> str:
        """The address to open in a browser; whoever has it can read the dashboard."""
        return f"http://127.0.0.1:{self.port}/status?token={self._token}"

    async def close(self) -> None:
        """Stop listening and end all connections."""
        if self._server is None:
            return
        self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        if connections:
            await asyncio.wait(connections)
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(functools.partial(self._forget, writer))

    def _forget(self, writer: asyncio.StreamWriter, connection: asyncio.Task[None]) -> None:
        self._connections.discard(connection)
        give_up(writer.transport)  # a task that was cancelled before its first step has closed nothing
        if not connection.cancelled() and (error := connection.exception()) is not None:
            logger.error("A connection to the dashboard's gate failed", exc_info=error)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A browser that leaves is nothing to report, and to a host that falls silent midway the browser itself
        # sees that the response is cut.
        with contextlib.suppress(OSError):
            async with closing(writer):
                try:
                    request = await self._read_request(reader, writer)
                except HTTPInputError as error:
                    await _send(writer, refused_page(HTTPStatus.BAD_REQUEST, str(error)))
                    return
                page = self._rules.answer(request)
                if page is not None:
                    await _send(writer, page)
                else:
                    await self._pass_on(request, (reader, writer))

    async def _read_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> RequestHead:
        if len(self._waiting) >= WAITING_CLIENTS:
            # A browser sends its head at once, so whoever has waited longest is the least likely to be one.
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            give_up(oldest.transport)
        self._waiting[writer] = None
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await reader.readuntil(_HEAD_END)
        except asyncio.IncompleteReadError as error:
            raise ConnectionAbortedError("the client left before its head was complete") from error
        except asyncio.LimitOverrunError as error:
            raise HTTPInputError(f"the head is longer than {HEAD_BYTES} bytes") from error
        finally:
            self._waiting.pop(writer, None)
        return parse_request_head(head)

    async def _pass_on(self, request: RequestHead, browser: Stream) -> None:
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(UPSTREAM_SECONDS):
                    host = await self._open_upstream()
                    await stack.enter_async_context(closing(host[1]))
                    await _send(host[1], upstream_request(request))
                    response = await _read_response(host[0])
                    if response.status == HTTPStatus.SWITCHING_PROTOCOLS and not wants_websocket(request):
                        raise HTTPInputError("the scheduler opened a websocket that it was not asked for")
            except TimeoutError:
                why = f"The host has not answered for {UPSTREAM_SECONDS:.0f} s."
                await _send(browser[1], unavailable_page(self.host, why, RETRY_SECONDS))
                return
            except (OSError, SimmateRemoteError, HTTPInputError) as error:
                await _send(browser[1], unavailable_page(self.host, str(error), RETRY_SECONDS))
                return
            await _send(browser[1], client_response(response))
            # Until the scheduler has agreed to a websocket, what the browser sends is another request: never read.
            if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
                await relay_websocket(browser, host)
            else:
                await relay_body(host[0], browser[1], UPSTREAM_SECONDS)


async def _read_response(reader: asyncio.StreamReader) -> ResponseHead:
    try:
        return parse_response_head(await reader.readuntil(_HEAD_END))
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("the scheduler closed the connection before it answered") from error
    except asyncio.LimitOverrunError as error:
        raise HTTPInputError("the head of the scheduler's answer is too long") from error


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()
