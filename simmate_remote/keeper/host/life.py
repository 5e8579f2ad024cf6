"""The life of the keeper's process: its sockets, its record, and its end in good order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
from functools import partial
from pathlib import Path
from typing import Any

from simmate_remote.errors import SimmateRemoteError
from simmate_remote.keeper.host.ending import end_all
from simmate_remote.keeper.host.family import marked
from simmate_remote.keeper.host.handover import listen, take_over
from simmate_remote.keeper.host.logs import Logs
from simmate_remote.keeper.host.program import Keeper
from simmate_remote.keeper.host.record import (
    TOUCH,
    Record,
    boot_id,
    record_path,
    remove_record,
    write_last_words,
    write_record,
)
from simmate_remote.keeper.host.spawning import Spawned
from simmate_remote.keeper.host.starting import READY
from simmate_remote.streams.allocation import keep_memory_of_reads
from simmate_remote.streams.descriptors import allow_many_connections
from simmate_remote.version import __version__

logger = logging.getLogger(__name__)
GRACE = 3.0


def live(
    folder: Path, runtime: Path, order: dict[str, Any], logs: Path, first: Spawned, ready: int, guardian: int
) -> None:
    """Live until the keeper shall end.

    Args:
        folder: Our folder.
        runtime: The folder for its sockets.
        order: What the login told: ``lease``, ``package``, ``address``, ``port``, ``warnings``.
        logs: The folder for logs.
        first: The process that was started already.
        ready: Where it says that it is ready.
        guardian: A pipe that ends when the guardian does.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    keep_memory_of_reads()
    allow_many_connections()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(folder, runtime, order, logs, first, ready, guardian))
    except Exception as error:
        logger.exception("the keeper fails")
        with contextlib.suppress(OSError):  # it said that it is ready long ago
            os.write(ready, f"{type(error).__name__}: {error}".encode())


async def _serve(
    folder: Path, runtime: Path, order: dict[str, Any], logs: Path, first: Spawned, ready: int, guardian: int
) -> None:
    keeper = Keeper(folder, runtime, float(order["lease"]), Logs(logs))
    await keeper.take_over(first)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, keeper.end, "stopped", "everything on the host was ended by SIGTERM")
    guardian_gone = asyncio.Event()
    loop.add_reader(guardian, _take_guardian_as_gone, guardian, guardian_gone, keeper)
    carriers = await loop.create_unix_server(keeper.carrier, str(runtime / "carrier"))
    handover = listen(str(runtime / "handover"))
    taking = loop.create_task(take_over(handover, keeper.carrier))
    record = _record(keeper, order)
    write_record(folder, record)
    touching = loop.create_task(_touch(folder, record))
    os.write(ready, READY)
    os.close(ready)
    try:
        await keeper.ending.wait()
    finally:
        touching.cancel()
        taking.cancel()
        carriers.close()
        handover.close()
        await keeper.end_processes()
        if guardian_gone.is_set():
            _clear_up_instead_of_the_guardian(runtime)
    _take_leave(folder, keeper, record)


def _record(keeper: Keeper, order: dict[str, Any]) -> Record:
    return Record(
        hostname=socket.gethostname(),
        boot=boot_id(),
        pid=os.getpid(),
        since=keeper.since,
        version=__version__,
        package=order["package"],
        handover=str(keeper.runtime / "handover"),
        carrier=str(keeper.runtime / "carrier"),
        runtime=str(keeper.runtime),
        address=order["address"],
        port=order["port"],
        warnings=order["warnings"],
    )


async def _touch(folder: Path, record: Record) -> None:
    """Show to other machines that share this home that the keeper lives."""
    failed = False
    while True:
        await asyncio.sleep(TOUCH)
        try:
            try:
                os.utime(record_path(folder))
            except FileNotFoundError:
                write_record(folder, record)
            failed = False
        except (OSError, SimmateRemoteError) as error:
            if not failed:
                logger.warning("the record cannot be kept: %s", error)
            failed = True


def _take_guardian_as_gone(guardian: int, gone: asyncio.Event, keeper: Keeper) -> None:
    asyncio.get_running_loop().remove_reader(guardian)
    gone.set()
    keeper.end("died", "the keeper's guardian on the host died, and everything there was ended")


def _clear_up_instead_of_the_guardian(runtime: Path) -> None:
    """Do the guardian's last duty: what detached itself is not below the keeper, and is found by its mark."""
    end_all(partial(marked, runtime), GRACE)
    shutil.rmtree(runtime, ignore_errors=True)


def _take_leave(folder: Path, keeper: Keeper, record: Record) -> None:
    assert keeper.last_words is not None
    try:
        write_last_words(folder, keeper.last_words, boot_id())
    except SimmateRemoteError as error:
        logger.warning("%s", error)
    remove_record(folder, record)
