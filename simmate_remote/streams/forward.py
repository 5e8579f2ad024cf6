"""Forwarding: a port of this machine's loopback interface, or a Unix socket, leads to a target at the other end."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from simmate_remote.errors import ProtocolError, StreamResetError
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.neighbours import is_of_another_user
from simmate_remote.streams.splice import LateEndingSplice, splice

logger = logging.getLogger(__name__)
BACKLOG = 256


async def forward_port(
    conversation: Conversation, target: str, port: int = 0, *, late_end: float = 0.0
) -> asyncio.Server:
    """Listen on 127.0.0.1 and open a stream to the target for each connection.

    Args:
        conversation: Where the streams go.
        target: What the other end knows it as.
        port: The port; 0: a free one.
        late_end: Seconds that pass between the end at the far side and the one here.

    Returns:
        The listening server; its sockets tell the port.
    """

    return await asyncio.get_running_loop().create_server(
        lambda: _Door(conversation, target, late_end), "127.0.0.1", port, backlog=BACKLOG
    )


async def forward_socket(conversation: Conversation, target: str, path: str) -> asyncio.Server:
    """Listen on a Unix socket, in a folder that only its user can enter, and open a stream for each connection.

    Args:
        conversation: Where the streams go.
        target: What the other end knows it as.
        path: Where the socket is made.
    """
    return await asyncio.get_running_loop().create_unix_server(
        lambda: _Opening(conversation, target), path, backlog=BACKLOG
    )


class _Opening(asyncio.Protocol):
    """Lets a connection through to the target."""

    def __init__(self, conversation: Conversation, target: str, late_end: float = 0.0) -> None:
        self._conversation = conversation
        self._target = target
        self._late_end = late_end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = cast(asyncio.Transport, transport)
        near, far = splice(LateEndingSplice(self._late_end))
        try:
            self._conversation.open(self._target, lambda: far)
        except (StreamResetError, ProtocolError) as error:
            logger.warning("a connection to the port of %s is closed: %s", self._target, error.what)
            connection.abort()
            return
        connection.set_protocol(near)
        near.connection_made(connection)


class _Door(_Opening):
    """Lets a connection through to the target, unless another user of this machine made it.

    They could not get further than the target's own lock, but what they send would be kept while the link is down.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if is_of_another_user(transport.get_extra_info("peername"), transport.get_extra_info("sockname")):
            cast(asyncio.Transport, transport).abort()
        else:
            super().connection_made(transport)


def port_of(server: asyncio.Server) -> int:
    """Give the port that a server listens on."""
    return int(server.sockets[0].getsockname()[1])
