"""What the near end lends to the host: sockets here whose connections are streams towards it."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from simmate_remote.errors import KeeperError
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.forward import forward_socket

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


class Loans:
    """What one near end has lent; it is given back when the calls of that near end are over.

    Args:
        runtime: The keeper's private folder for sockets.
    """

    def __init__(self, runtime: Path) -> None:
        self._runtime = runtime
        self._sockets: dict[Path, asyncio.Server] = {}

    async def take(self, conversation: Conversation, target: str) -> str:
        """Make a socket that leads to a target of the near end, and give its path.

        Args:
            conversation: The near end.
            target: What the near end knows it as.

        Raises:
            KeeperError: The target has no proper name, or the socket cannot be made.
        """
        if not NAME.fullmatch(target):
            raise KeeperError(f"{target!r} is no name for what is lent: small letters, digits and hyphens")

        path = self._runtime / f"{target}-{os.urandom(4).hex()}"
        try:
            self._sockets[path] = await forward_socket(conversation, target, str(path))
        except OSError as error:
            raise KeeperError(f"no socket for the near end's {target}: {error.strerror or error}") from error
        return str(path)

    def give_back(self) -> None:
        """Remove the sockets."""
        for path, server in self._sockets.items():
            server.close()
            path.unlink(missing_ok=True)
        self._sockets.clear()
