"""Forwarding: a port of this machine's loopback interface leads to a target at the other end."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from simmate_remote.errors import ProtocolError, StreamResetError
from simmate_remote.streams.conversation import Conversation
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

    def accept() -> asyncio.Protocol:
        near, far = splice(LateEndingSplice(late_end))
        try:
            conversation.open(target, lambda: far)
        except (StreamResetError, ProtocolError) as error:
            logger.warning("a connection to the port of %s is closed: %s", target, error.what)
            return _Refusal()
        return near

    return await asyncio.get_running_loop().create_server(accept, "127.0.0.1", port, backlog=BACKLOG)


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()


def port_of(server: asyncio.Server) -> int:
    """Give the port that a server listens on."""
    return int(server.sockets[0].getsockname()[1])
