"""The database, as a session gives it to its host: lent from here, or as the host reaches it by itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simmate_remote.errors import DatabaseError, SimmateRemoteError
from simmate_remote.session.lending import Lendings
from simmate_remote.streams.calls import Caller
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.splice import splice

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
        except (OSError, ValueError) as error:
            # Such as a full disk here: workers then have no database, and all else works.
            self.problem = f"{type(error).__name__}: {error}"
            return refusal(DatabaseError(f"the database cannot be lent: {self.problem}"))

    async def _open(self, _: str) -> asyncio.Protocol:
        from simmate_remote.database.dialling import dial

        assert self._configuration is not None
        return await dial(self._configuration)

    async def _make_way(self, keeper: Caller, configuration: Configuration) -> None:
        """Listen on a socket here that leads to the database there."""
        from simmate_remote.database.gateway import listen
        from simmate_remote.database.through_host import socket_of
        from simmate_remote.database.url import parameters_of

        said = parameters_of(configuration.url)
        name, port = said["host"], int(said["port"])
        place = {"path": f"{name}/.s.PGSQL.{port}"} if name.startswith("/") else {"host": name, "port": port}
        await keeper.call("offer", target=THERE, place=place)
        self._socket = socket_of(self._host)
        self._socket.unlink(missing_ok=True)
        self._server = await listen(self._socket, self._dial_there)

    async def _dial_there(self) -> asyncio.Protocol:
        from simmate_remote.database.dialling import dial_over

        assert self._configuration is not None

        async def open_stream(factory: Callable[[], Any]) -> tuple[asyncio.Transport, Any]:
            # asyncio's TLS goes over sockets only; so there is a pair of them in between.
            ours, its = socket.socketpair()
            near, far = splice()
            self._conversation.open(THERE, lambda: far)
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: near, sock=ours)
            return await loop.create_connection(factory, sock=its)

        return await dial_over(open_stream, self._configuration.url)
