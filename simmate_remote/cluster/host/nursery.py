"""The nursery: the parent of scheduler and nannies on the host; it starts them when it is called, and ends with them.

Importing distributed takes 0.6 s. It is done once, in multiprocessing's fork server; the scheduler, each nanny and each
nanny's worker are forked from that, which takes milliseconds and lets them share memory. The nursery itself imports
nothing of it: it waits on its stdin for calls of the keeper, and when that ends everything here ends.
"""

from __future__ import annotations

import os

from simmate_remote.cluster.host import fork_server
from simmate_remote.keeper.host.family import MARK

if __name__ == "__main__":
    # Whatever a library prints must not end up between the calls.
    CALLS_IN, CALLS_OUT = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    # Before even the imports below: nothing takes as long as what the fork server now begins.
    fork_server.start("simmate_remote.cluster.host.preload", os.environ[MARK])

import asyncio
import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from simmate_remote.cluster.host import child
from simmate_remote.errors import KeeperError
from simmate_remote.streams.calls import Caller

logger = logging.getLogger(__name__)
START_TIMEOUT = 90.0
GRACE = 8.0
HEAD_START = 2.0
"""Seconds that a nanny keeps others from starting, if it is not ready sooner."""


class Child:
    """A scheduler or a nanny.

    Args:
        name: ``scheduler``, or the worker's name.
        process: Its process.
        connection: The pipe on which it says that it is ready, and hears that it shall close.
        told_of_work: Called with what it tells of unfinished work.
    """

    def __init__(
        self,
        name: str,
        process: ForkServerProcess,
        connection: multiprocessing.connection.Connection[Any, Any],
        told_of_work: Callable[[dict[str, int]], None],
    ) -> None:
        self.name = name
        self.process = process
        self.since = time.time()
        self.ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self.asked_to_end = False
        self.starting: asyncio.Task[None] | None = None
        self.has_turn = False
        self.begun = asyncio.Event()
        self.introducing: asyncio.Task[None] | None = None
        self.connection = connection
        self._told_of_work = told_of_work

    def hear(self) -> None:
        """Take what the child says: that it is ready, or why it cannot be; how much work is unfinished."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self.connection.fileno())
            return
        if "work" in message:
            self._told_of_work(message["work"])
        elif not self.ready.done():
            if "failed" in message:
                self.ready.set_exception(KeeperError(message["failed"], detail=message.get("traceback")))
            else:
                self.ready.set_result(message)

    def tell(self, scheduler: str) -> None:
        """Tell a nanny where the scheduler is."""
        with contextlib.suppress(OSError):  # that it has ended is told soon enough
            self.connection.send({"scheduler": scheduler})

    def close(self) -> None:
        """Ask the child to close."""
        with contextlib.suppress(OSError):
            self.connection.send("close")

    def forget(self, why: str) -> None:
        """Release what the child held here.

        Args:
            why: What became of it, if it was not ready yet.
        """
        self.ended.set()
        asyncio.get_running_loop().remove_reader(self.connection.fileno())
        self.connection.close()
        if not self.ready.done():
            self.ready.set_exception(KeeperError(why))


class Nursery:
    """Starts and ends the children, and tells the keeper when one ends by itself."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._children: dict[str, Child] = {}
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._ending_bereft: asyncio.Task[None] | None = None
        # A start is work for a processor, and one is the scheduler's. More nannies at once would only delay each other,
        # and somebody waits for the first.
        self._turns = asyncio.Semaphore(max(1, len(os.sched_getaffinity(0)) - 1))
        caller.handlers.update(start=self.start, stop=self.stop, listing=self.listing)

    async def start(self, name: str, role: str, configuration: dict[str, Any]) -> dict[str, Any]:
        """Start a child, unless it lives already, and give what it says of itself once it is ready.

        Nannies may be started as soon as the scheduler has been: what they can do without it is done meanwhile.

        Args:
            name: What it is called.
            role: ``scheduler`` or ``worker``.
            configuration: What :mod:`simmate_remote.cluster.host.child` expects for this role.
        """
        await self._without_bereft()
        known = self._children.get(name)
        if known is None:
            here, there = multiprocessing.Pipe()
            target = {"scheduler": child.run_scheduler, "worker": child.run_worker}[role]
            process = self._context.Process(target=target, args=(configuration, there), name=name)
            known = self._children[name] = Child(name, process, here, self._tell_work)
            begin = self._begin_in_turn if role == "worker" else self._begin
            known.starting = asyncio.create_task(begin(known, there))
        try:
            about = await asyncio.wait_for(asyncio.shield(known.ready), START_TIMEOUT)
        except TimeoutError:
            await self.stop(name)
            raise KeeperError(f"{name} was not ready after {START_TIMEOUT:.0f} s") from None
        except KeeperError:
            await self.stop(name)
            raise
        return {**about, "pid": known.process.pid, "since": known.since}

    async def _begin_in_turn(self, nanny: Child, there: multiprocessing.connection.Connection[Any, Any]) -> None:
        """Start a nanny when those before it are ready, as many at once as there are processors for them."""
        async with self._turns:
            if nanny.asked_to_end:
                there.close()
                return
            await self._begin(nanny, there)
            nanny.introducing = asyncio.create_task(self._introduce(nanny))
            await asyncio.wait({nanny.ready}, timeout=HEAD_START)

    async def _begin(self, known: Child, there: multiprocessing.connection.Connection[Any, Any]) -> None:
        """Start a child's process.

        Args:
            known: The child.
            there: Its end of the pipe.
        """
        known.has_turn = True
        try:
            with there:
                await asyncio.to_thread(known.process.start)
        except Exception as error:  # noqa: BLE001 - whoever waits for it hears of it
            self._children.pop(known.name, None)
            known.forget(f"{known.name} could not be started: {type(error).__name__}: {error}")
            return
        finally:
            known.begun.set()
        known.since = time.time()
        loop = asyncio.get_running_loop()
        loop.add_reader(known.connection.fileno(), known.hear)
        loop.add_reader(known.process.sentinel, self._ended, known)

    async def _introduce(self, nanny: Child) -> None:
        """Tell a nanny where the scheduler is, as soon as that is known; without one it is of no use."""
        try:
            scheduler = await asyncio.shield(self._children["scheduler"].ready)
        except (KeyError, KeeperError):
            nanny.close()
        else:
            nanny.tell(scheduler["address"])

    async def stop(self, name: str) -> None:
        """End a child: asked first, then by SIGTERM, then by SIGKILL."""
        known = self._children.get(name)
        if known is None:
            return
        known.asked_to_end = True
        if not known.has_turn:
            self._children.pop(name)
            known.forget(f"{name} was ended before its turn to start had come")
            return
        await known.begun.wait()
        if known.ended.is_set():
            return
        for step in (known.close, known.process.terminate, known.process.kill):
            step()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(known.ended.wait(), GRACE)
                return

    async def listing(self) -> list[dict[str, Any]]:
        """Say which children live."""
        await self._without_bereft()
        return [
            {"name": known.name, "pid": known.process.pid, "since": known.since, **known.ready.result()}
            for known in self._children.values()
            if known.ready.done() and known.ready.exception() is None
        ]

    async def stop_all(self) -> None:
        """End every child, the scheduler first: it would give the work of each worker that ends to the next one."""
        for known in self._children.values():
            known.asked_to_end = True
        await self.stop("scheduler")
        await self._stop_nannies()

    async def _stop_nannies(self) -> None:
        await asyncio.gather(*(self.stop(name) for name in list(self._children) if name != "scheduler"))

    async def _without_bereft(self) -> None:
        """Wait until the nannies of a scheduler that is gone are gone, too: they belong to no other."""
        if self._ending_bereft is not None:
            await asyncio.shield(self._ending_bereft)

    def _tell_work(self, counts: dict[str, int]) -> None:
        self._caller.tell("event", event="work", **counts)

    def _ended(self, known: Child) -> None:
        asyncio.get_running_loop().remove_reader(known.process.sentinel)
        known.process.join()
        self._children.pop(known.name, None)
        known.forget(f"{known.name} ended (exit code {known.process.exitcode}) before it was ready")
        if known.name == "scheduler":
            # What it had not finished, nobody will.
            self._tell_work({"unfinished": 0})
            self._ending_bereft = asyncio.create_task(self._stop_nannies())
        if not known.asked_to_end:
            self._caller.tell("event", event="child_ended", name=known.name, code=known.process.exitcode)


async def main(calls_in: int, calls_out: int) -> bool:
    """Serve calls on two pipes until the first ends, and give whether that, and nothing worse, was the end."""
    loop = asyncio.get_running_loop()
    caller = Caller()
    nursery = Nursery(caller)
    transport, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(calls_out, "wb", buffering=0))
    caller.attach(transport)
    await loop.connect_read_pipe(lambda: _Input(caller), os.fdopen(calls_in, "rb", buffering=0))
    over, alone = asyncio.create_task(caller.closed.wait()), asyncio.Event()

    def look() -> None:
        if fork_server.has_ended():
            alone.set()

    loop.add_signal_handler(signal.SIGCHLD, look)
    look()
    orphaned = asyncio.create_task(alone.wait())
    await asyncio.wait({over, orphaned}, return_when=asyncio.FIRST_COMPLETED)
    if alone.is_set():
        logger.error("the fork server has ended, from which a worker that dies would be started again: all ends here")
    await nursery.stop_all()
    return not alone.is_set()


class _Input(asyncio.Protocol):
    """Passes on what comes on stdin; its write side is another pipe."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def data_received(self, data: bytes) -> None:
        self._caller.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._caller.connection_lost(exc)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    if not asyncio.run(main(CALLS_IN, CALLS_OUT)):
        sys.exit(1)
