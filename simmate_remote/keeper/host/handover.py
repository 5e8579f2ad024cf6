"""The keeper's door for logins: it takes the stdin and stdout of a command there, and makes a carrier of them."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable

from simmate_remote.keeper.host.pipes import PipePair
from simmate_remote.streams.carrier import FarCarrier

logger = logging.getLogger(__name__)
MAX_DESCRIPTORS = 16
MAX_MESSAGE = 128
TIMEOUT = 10.0
PAUSE = 1.0

CarrierFactory = Callable[[str], FarCarrier]
"""Makes the protocol of a new carrier; told from which address its login came, if that is known."""


def listen(path: str) -> socket.socket:
    """Listen at the Unix socket where commands hand over their pipes."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    listening.setblocking(False)
    return listening


async def take_over(listening: socket.socket, carrier: CarrierFactory) -> None:
    """Take the stdin and stdout of commands of this login as carriers, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, _ = await loop.sock_accept(listening)
        except OSError as error:
            # Too many open files, as a rule; without this no login would ever be taken again.
            logger.warning("no login can be taken now: %s", error)
            await asyncio.sleep(PAUSE)
            continue
        connection.setblocking(False)
        loop.create_task(_take_one(connection, carrier)).add_done_callback(_log_failure)


async def _take_one(connection: socket.socket, carrier: CarrierFactory) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        try:
            await asyncio.wait_for(readable.wait(), TIMEOUT)
        finally:
            loop.remove_reader(connection)
        message, descriptors, _, _ = socket.recv_fds(connection, MAX_MESSAGE, MAX_DESCRIPTORS)
    except OSError:  # it said nothing in time, or is gone already
        connection.close()
        raise
    word, _, origin = message.decode(errors="replace").partition(" ")
    if word != "carrier" or len(descriptors) != 2:
        for descriptor in descriptors:
            os.close(descriptor)
        connection.close()
        return
    reader, writer = descriptors
    PipePair(carrier(origin), reader, writer, connection).start()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.warning("a carrier could not be taken over: %s", error)
