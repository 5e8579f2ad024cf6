"""A Unix socket of this machine whose connections lead to the database, encrypted on the way if need be."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

from simmate_remote.database.configuration import Configuration
from simmate_remote.database.dialling import dial
from simmate_remote.database.embedded.place import SOCKET, SOCKETS
from simmate_remote.errors import SimmateRemoteError
from simmate_remote.streams.splice import Splice

logger = logging.getLogger(__name__)

Dial = Callable[[], Awaitable[asyncio.Protocol]]
"""Connects to the database, and gives the other side of a splice."""


async def listen(path: Path, dial_database: Dial) -> asyncio.Server:
    """Listen on a socket; each connection to it is one to the database."""
    return await asyncio.get_running_loop().create_unix_server(lambda: _Arriving(dial_database), str(path))


class _Arriving(asyncio.Protocol):
    """A connection to the socket, until the one to the database has been made.

    What comes before is kept, and not held back: it is one packet, since a client of Postgres waits for its answer.
    """

    def __init__(self, dial_database: Dial) -> None:
        self._dial = dial_database
        self._early = b""
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._joining = asyncio.create_task(self._join(cast(asyncio.Transport, transport)))

    def data_received(self, data: bytes) -> None:
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True

    async def _join(self, connection: asyncio.Transport) -> None:
        try:
            near = await self._dial()
        except Exception as error:
            if not isinstance(error, SimmateRemoteError):
                logger.exception("there is no way to the database")
            connection.abort()
            return
        connection.set_protocol(near)
        near.connection_made(connection)
        if self._early:
            near.data_received(self._early)
        if self._lost:
            near.connection_lost(None)


@contextlib.contextmanager
def gateway(configuration: Configuration) -> Iterator[Path]:
    """Give the folder of such a socket for the time of a block: for programs that cannot encrypt by themselves."""
    with tempfile.TemporaryDirectory(prefix=SOCKETS, dir="/tmp") as folder:  # its owner alone can enter it
        path = Path(folder)
        loop = asyncio.new_event_loop()
        ready, over = threading.Event(), asyncio.Event()
        serving = _serve(configuration, path / SOCKET, ready, over)
        thread = threading.Thread(target=lambda: loop.run_until_complete(serving), daemon=True)
        thread.start()
        ready.wait()
        try:
            yield path
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join()
            loop.close()


async def _serve(configuration: Configuration, path: Path, ready: threading.Event, over: asyncio.Event) -> None:
    joined: list[Splice] = []

    async def dial_and_remember() -> asyncio.Protocol:
        joined.append(cast(Splice, await dial(configuration)))
        return joined[-1]

    try:
        server = await listen(path, dial_and_remember)
    finally:
        ready.set()
    await over.wait()
    server.close()
    for side in [side for near in joined for side in (near, near.other)]:
        if side.transport is not None:
            side.transport.abort()
    await asyncio.sleep(0)  # they are closed a moment later
