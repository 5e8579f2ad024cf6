"""What this machine lends to the host: Unix sockets of its user that processes there may connect to."""

from __future__ import annotations

import asyncio

from simmate_remote.errors import StreamResetError
from simmate_remote.streams.splice import splice


class Lendings:
    """The targets that the host may open streams to; at first there are none, so that it can reach nothing here."""

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}

    def add(self, target: str, path: str) -> None:
        """Let the host open streams to a Unix socket of this machine."""
        self._paths[target] = path

    async def accept(self, target: str) -> asyncio.Protocol:
        """Connect a stream that the host opens.

        Raises:
            StreamResetError: Nothing of this name is lent, or nobody listens there.
        """
        if (path := self._paths.get(target)) is None:
            raise StreamResetError(f"nothing of this machine is lent as {target!r}")
        near, far = splice()
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: far, path)
        except OSError as error:
            raise StreamResetError(
                f"the {target} of this machine does not answer: {error.strerror or error}"
            ) from error
        return near
