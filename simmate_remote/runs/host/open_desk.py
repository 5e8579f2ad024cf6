"""The desk in the scheduler's process: made of its parts, and let hear of what happens to its tasks."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from distributed import Client, Scheduler, Security
from distributed.diagnostics.plugin import SchedulerPlugin

from simmate_remote.errors import FolderBusyError, RunsUnavailableError, SimmateRemoteError
from simmate_remote.keeper.host.record import TOUCH
from simmate_remote.runs.host.desk import Desk
from simmate_remote.runs.host.execution import REPORTS, TOPIC
from simmate_remote.runs.host.journal import JournalWriter
from simmate_remote.runs.host.lock import FolderLock
from simmate_remote.runs.host.scribe import Scribe
from simmate_remote.runs.host.service import Opening, serve
from simmate_remote.runs.host.store import RunStore

logger = logging.getLogger(__name__)

DESK = "SIMMATE_REMOTE_DESK"
"""The mark of what a desk would start: it starts nothing, so one that died has left nothing to end."""

LOOK = 0.5
RETRY = 5.0
"""Seconds after which a desk that a full or absent disk has kept from opening is tried again."""

_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class Ears(SchedulerPlugin):  # type: ignore[misc]
    """Lets a desk know what happens to its tasks.

    Args:
        desk: The desk.
    """

    name = "simmate-remote-desk"

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        if finish in ("memory", "erred", "forgotten") and key in self._desk.keys:
            self._desk.task_moved(key, finish)

    def log_event(self, topic: str, msg: Any) -> None:
        if topic == REPORTS:
            self._desk.reported(msg)
        elif topic == TOPIC:
            self._desk.attempt_began(msg)

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        self._desk.news.count_workers(len(scheduler.workers))

    def remove_worker(self, scheduler: Scheduler, worker: str, **kwargs: Any) -> None:
        self._desk.worker_lost(worker)
        self._desk.news.count_workers(len(scheduler.workers))


class OpenDesk:
    """The desk of a scheduler, from its first breath to its end.

    Args:
        scheduler: The scheduler.
        folder: Where the runs are.
    """

    def __init__(self, scheduler: Scheduler, folder: Path) -> None:
        self._scheduler = scheduler
        self._folder = folder
        self._opening = Opening()
        self._stack = contextlib.AsyncExitStack()
        self._task: asyncio.Task[None] | None = None

    async def open(self, listening: socket.socket) -> None:
        """Answer at once whoever connects to a socket; what is asked waits until the desk has found its runs."""
        self._stack.push_async_callback(await serve(listening, self._opening))
        self._task = asyncio.create_task(self._open())

    async def close(self) -> None:
        """End it with the scheduler."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._stack.aclose()

    async def _open(self) -> None:
        while True:
            try:
                async with contextlib.AsyncExitStack() as stack:
                    self._opening.done(await self._make(stack))
                    self._stack.push_async_exit(stack.pop_all())
            except SimmateRemoteError as error:
                logger.exception("there is no desk for runs")
                self._opening.failed(error)
            except OSError as error:
                logger.warning("there is no desk for runs yet: %s", error)
                self._opening.waits(self._unavailable(error, f"it is tried again every {RETRY:.0f} s"))
                await asyncio.sleep(RETRY)
                continue
            except Exception as error:
                logger.exception("there is no desk for runs")
                self._opening.failed(self._unavailable(error, "tasks without a run work"))
            return

    def _unavailable(self, error: Exception, meanwhile: str) -> RunsUnavailableError:
        what = f"runs cannot be kept in {self._folder}: {error}"
        return RunsUnavailableError(what, folder=str(self._folder), meanwhile=meanwhile)

    async def _make(self, stack: contextlib.AsyncExitStack) -> Desk:
        store = RunStore(self._folder)
        await self._lock(store, stack)
        pool = ThreadPoolExecutor(1, thread_name_prefix="journal")
        scribe = Scribe(await asyncio.to_thread(JournalWriter, self._folder / "journal"), pool)
        client = Client(
            self._scheduler.address,
            asynchronous=True,
            security=_as_client(self._scheduler.security),
            set_as_default=False,
            name="desk",
        )
        stack.push_async_callback(client._close, fast=True)  # noqa: SLF001 - the scheduler ends with it
        await client
        desk = Desk(store, client, scribe, self._scheduler)
        stack.push_async_callback(desk.close)
        self._scheduler.add_plugin(Ears(desk))
        stack.callback(self._scheduler.remove_plugin, Ears.name)
        desk.news.count_workers(len(self._scheduler.workers))
        await desk.recover()
        desk.do(asyncio.to_thread(store.sweep))
        return desk

    async def _lock(self, store: RunStore, stack: contextlib.AsyncExitStack) -> None:
        """Be the only desk of these runs; one before this may just be ending, and one of another machine may stay."""
        fd = os.open(store.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, fd)
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await self._wait_for_another()
                continue
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                await self._lock_without_kernel(store, stack)
            return

    async def _lock_without_kernel(self, store: RunStore, stack: contextlib.AsyncExitStack) -> None:
        """Be the only desk where the file system has no locks: the file says whose it is, and that one touches it."""
        while True:
            try:
                lock = await asyncio.to_thread(FolderLock, store.lock, self._folder, DESK)
            except FolderBusyError as error:
                await self._wait_for_another(error)
                continue
            stack.enter_context(lock)
            touching = asyncio.create_task(_touch(lock))
            stack.callback(touching.cancel)
            return

    async def _wait_for_another(self, error: FolderBusyError | None = None) -> None:
        who, since = (f": {error.what}", error.since) if error is not None else ("", None)
        self._opening.waits(
            RunsUnavailableError(
                f"another scheduler keeps the runs in {self._folder}{who}",
                folder=str(self._folder),
                since=since,
                meanwhile="its runs go on; this one takes over when it has ended",
            )
        )
        await asyncio.sleep(LOOK)


async def _touch(lock: FolderLock) -> None:
    """Say again and again that the desk lives."""
    while True:
        await asyncio.sleep(TOUCH / 2)
        with contextlib.suppress(OSError):  # a network file system that hiccups; it is touched again in a moment
            await asyncio.to_thread(lock.touch)


def _as_client(security: Security) -> Security:
    if not security.require_encryption:
        return security
    return Security(
        tls_ca_file=security.tls_ca_file,
        tls_client_key=security.tls_scheduler_key,
        tls_client_cert=security.tls_scheduler_cert,
        require_encryption=True,
    )
