"""The database, as a session gives it to its host: lent from here, or as the host reaches it by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from simmate_remote.errors import SimmateRemoteError
from simmate_remote.session.lending import Lendings
from simmate_remote.streams.calls import Caller
from simmate_remote.streams.conversation import Conversation

if TYPE_CHECKING:
    from simmate_remote.database.configuration import Configuration
    from simmate_remote.database.handover import Handover

TARGET = "database"
PRELOAD = "simmate_remote.database.host.preload"
SOCKET = ".s.PGSQL.5432"


THERE = "database-there"
"""What the keeper knows the database as that its host reaches by itself."""


class LentDatabase:
    """The database, for one host.

    Args:
        host: What the inventory calls it.
        conversation: The streams to it.
        lendings: What this machine lends to it.
        patience: Seconds that a worker waits for a session that lends it.

    Attributes:
        problem: Why there is none, for people.
    """

    def __init__(self, host: str, conversation: Conversation, lendings: Lendings, patience: float) -> None:
        self.problem: str | None = None
        self._host = host
        self._conversation = conversation
        self._lendings = lendings
        self._patience = patience
        self._configuration: Configuration | None = None
        self._server: asyncio.Server | None = None
        self._socket: Path | None = None
        self._joining: set[asyncio.Task[None]] = set()

    async def give(self, keeper: Caller) -> None:
        """Let the workers there reach it. It is not started: the first of their connections does that."""
        given = await asyncio.to_thread(self._read)
        if given.lends:
            self._lendings.add_opener(TARGET, self._open)
        elif self._configuration is not None and self._configuration.host == self._host:
            await self._make_way(keeper, self._configuration)
        await keeper.call("lend_folder", target=TARGET, files=given.files, socket=SOCKET if given.lends else None)

    def preload(self, runtime: str) -> tuple[str, str, dict[str, Any]]:
        """Give what prepares a worker for it: a module, and what that is told.

        Args:
            runtime: The keeper's folder for sockets.
        """
        return PRELOAD, TARGET, {"folder": f"{runtime}/{TARGET}", "patience": self._patience}

    def close(self) -> None:
        """Remove the way to the database there."""
        if self._server is not None and self._socket is not None:
            self._server.close()
            self._socket.unlink(missing_ok=True)

    # Inside

    def _read(self) -> Handover:
        # In a thread, and not above: the way to the host is not to wait for these imports.
        from simmate_remote.database.configuration import load
        from simmate_remote.database.handover import handover, refusal

        try:
            self._configuration = load()
            return handover(self._configuration, self._host)
        except SimmateRemoteError as error:
            self.problem = error.what
            return refusal(error)

    async def _open(self, _: str) -> asyncio.Protocol:
        from simmate_remote.database.dialling import dial

        assert self._configuration is not None
        return await dial(self._configuration)

    async def _make_way(self, keeper: Caller, configuration: Configuration) -> None:
        """Listen on a socket here that leads to the database there."""
        from simmate_remote.database.through_host import socket_of
        from simmate_remote.database.url import parameters_of

        said = parameters_of(configuration.url)
        name, port = said["host"], int(said["port"])
        place = {"path": f"{name}/.s.PGSQL.{port}"} if name.startswith("/") else {"host": name, "port": port}
        await keeper.call("offer", target=THERE, place=place)
        self._socket = socket_of(self._host)
        self._socket.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Arriving(self._join), str(self._socket))

    def _join(self, transport: asyncio.Transport) -> None:
        task = asyncio.create_task(self._join_there(transport))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    async def _join_there(self, transport: asyncio.Transport) -> None:
        from simmate_remote.database.dialling import dial_over

        assert self._configuration is not None
        try:
            near = await dial_over(await self._conversation.open_reader_writer(THERE), self._configuration.url)
        except SimmateRemoteError:
            transport.abort()
            return
        transport.set_protocol(near)
        near.connection_made(transport)
        transport.resume_reading()


class _Arriving(asyncio.Protocol):
    """A connection to the socket here, until the one there has been made."""

    def __init__(self, join: Callable[[asyncio.Transport], None]) -> None:
        self._join = join

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = cast(asyncio.Transport, transport)
        connection.pause_reading()
        self._join(connection)
