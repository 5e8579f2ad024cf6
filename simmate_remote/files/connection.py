"""The connection of an errand, for code that waits for its bytes in a thread, as both ends of a transfer do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from simmate_remote.streams.splice import Splice

KEPT = 1 << 20
"""Bytes that the kernel may keep between loop and thread; it gives what it has."""


class NearEnd(Splice):
    """The protocol of an errand whose bytes a thread takes, and whose far end is silent until it is spoken to.

    Attributes:
        reason: Why it was lost, if it did not end in peace.
    """

    reason: Exception | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.reason = exc
        super().connection_lost(exc)


@contextlib.asynccontextmanager
async def blocking_socket(transport: asyncio.Transport, near: NearEnd) -> AsyncIterator[socket.socket]:
    """Give a socket that a thread may read from and write to for the time of a block.

    Args:
        transport: The errand's.
        near: Its protocol.
    """
    through = transport.get_extra_info("socket")
    if through is not None:
        # A Unix socket of the session: the loop leaves it alone, and no byte needs it.
        transport.pause_reading()
        sock = socket.socket(fileno=socket.dup(through.fileno()))
    else:
        ours, sock = socket.socketpair()
        for each in (ours, sock):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KEPT)
        far = Splice()
        near.other, far.other = far, near
        await asyncio.get_running_loop().create_connection(lambda: far, sock=ours)
    sock.setblocking(True)
    try:
        yield sock
    finally:
        sock.close()


def hang_up(sock: socket.socket) -> None:
    """End a connection for the thread that waits for its bytes."""
    with contextlib.suppress(OSError):  # the other end was quicker
        sock.shutdown(socket.SHUT_RDWR)
