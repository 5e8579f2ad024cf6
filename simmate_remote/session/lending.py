"""What this machine lends to the host: what its user has here, and processes there may connect to."""

from __future__ import annotations

import asyncio
from functools import partial

from simmate_remote.errors import StreamResetError
from simmate_remote.streams.conversation import Acceptor
from simmate_remote.streams.splice import splice


class Lendings:
    """The targets that the host may open streams to; at first there are none, so that it can reach nothing here."""

    def __init__(self) -> None:
        self._openers: dict[str, Acceptor] = {}

    def add(self, target: str, path: str) -> None:
        """Let the host open streams to a Unix socket of this machine."""
        self.add_opener(target, partial(_open_socket, path))

    def add_opener(self, target: str, opener: Acceptor) -> None:
        """Let the host open streams to whatever this connects them to, given the target's name."""
        self._openers[target] = opener

    async def accept(self, target: str) -> asyncio.Protocol:
        """Connect a stream that the host opens.

        Raises:
            StreamResetError: Nothing of this name is lent, or nobody listens there.
        """
        if (opener := self._openers.get(target)) is None:
            raise StreamResetError(f"nothing of this machine is lent as {target!r}")
        return await opener(target)


async def _open_socket(path: str, target: str) -> asyncio.Protocol:
    near, far = splice()
    try:
        await asyncio.get_running_loop().create_unix_connection(lambda: far, path)
    except OSError as error:
        raise StreamResetError(f"the {target} of this machine does not answer: {error.strerror or error}") from error
    return near
