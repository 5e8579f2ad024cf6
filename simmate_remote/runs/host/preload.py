"""Dask's way into the scheduler's process: with it as a preload, the scheduler has a desk.

The configuration says where, as ``simmate-remote.desk``: ``folder`` (of the runs) and ``socket``. The socket is there
at once, and the desk as soon as somebody connects to it, or in the scheduler's leisure: its import, and its own
connection to the scheduler, take 30 ms just when the workers come and a first task waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import dask

from simmate_remote.cluster.host.leisure import leisure

if TYPE_CHECKING:
    from distributed import Scheduler

    from simmate_remote.runs.host.open_desk import OpenDesk


logger = logging.getLogger(__name__)


class Door:
    """Where the desk is asked, and behind it, sooner or later, the desk.

    Args:
        scheduler: The scheduler.
        folder: Where the runs are.
        path: Of the socket, in a folder that only its owner can enter.
    """

    def __init__(self, scheduler: Scheduler, folder: Path, path: Path) -> None:
        self._scheduler = scheduler
        self._folder = folder
        self._path = path
        self._listening = _listen(path)
        self._desk: OpenDesk | None = None
        self._opening = asyncio.create_task(self._open())

    async def close(self) -> None:
        """End it with the scheduler."""
        self._opening.cancel()
        await asyncio.wait({self._opening})
        if self._desk is not None:
            await self._desk.close()
        self._listening.close()
        self._path.unlink(missing_ok=True)

    async def _open(self) -> None:
        try:
            await self._open_desk()
        except Exception:
            # Nobody shall wait at a door that nobody will open.
            logger.exception("there is no desk for runs")
            self._listening.close()

    async def _open_desk(self) -> None:
        await self._somebody_or_leisure()
        module = await asyncio.to_thread(importlib.import_module, "simmate_remote.runs.host.open_desk")
        self._desk = module.OpenDesk(self._scheduler, self._folder)
        await self._desk.open(self._listening)

    async def _somebody_or_leisure(self) -> None:
        loop = asyncio.get_running_loop()
        somebody = asyncio.Event()
        loop.add_reader(self._listening, somebody.set)
        waits = {asyncio.create_task(somebody.wait()), asyncio.create_task(leisure(self._scheduler))}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(self._listening)
            for each in waits:
                each.cancel()
            await asyncio.wait(waits)


def _listen(path: Path) -> socket.socket:
    """Listen on a socket that only its owner can open."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listening = socket.socket(socket.AF_UNIX)
    listening.setblocking(False)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    except BaseException:
        listening.close()
        raise
    finally:
        os.umask(before)
    listening.listen()
    return listening


_doors: dict[int, Door] = {}


async def dask_setup(scheduler: Scheduler) -> None:
    """Let a scheduler have a desk."""
    place = dask.config.get("simmate-remote.desk")
    _doors[id(scheduler)] = Door(scheduler, Path(place["folder"]), Path(place["socket"]))


async def dask_teardown(scheduler: Scheduler) -> None:
    """End it."""
    await _doors.pop(id(scheduler)).close()
