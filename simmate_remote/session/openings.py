"""Unix sockets of this machine that a session opens for its clients: each connection to one is a stream to the host."""

from __future__ import annotations

import asyncio
import contextlib
import os

from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.forward import forward_socket


class Openings:
    """The sockets of one session, for as long as it lives.

    Args:
        conversation: The streams.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._servers: dict[str, asyncio.Server] = {}
        self._turn = asyncio.Lock()

    async def listen(self, target: str, path: str) -> None:
        """Listen on a socket, unless it is there already.

        Args:
            target: What the host knows as that to which its connections lead.
            path: Where the socket is made.
        """
        async with self._turn:  # two may want the same at once
            if path not in self._servers:
                self._servers[path] = await forward_socket(self._conversation, target, path)

    def close(self) -> None:
        """Let nobody in any more, and remove the sockets."""
        for path, server in self._servers.items():
            server.close()
            with contextlib.suppress(FileNotFoundError):  # the folder may have gone with its user's last login
                os.unlink(path)
