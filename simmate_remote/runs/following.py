"""Following a host's journal: rows here, as soon as something is told there, while the host is connected.

The database is opened when there is something to write, in a thread, and let go of when nothing comes for a while. If
it is gone, the host goes on without it; what it tells is read when the database is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Protocol, TypeVar

from simmate_remote.database.plain import Plain, open_plain
from simmate_remote.errors import DatabaseError, SimmateRemoteError
from simmate_remote.runs.collector import Collector, Source
from simmate_remote.runs.local import collect_here
from simmate_remote.runs.news import take_news
from simmate_remote.runs.settling import writing

logger = logging.getLogger(__name__)

T = TypeVar("T")

IDLE = 20.0
"""Seconds without news after which the database is let go of: it may end when nobody uses it."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds before a database that is gone is asked for again, at first and at last."""

EMPTY = 100
"""Bytes of a journal up to which nothing but its name stands in it."""

IDS_AT_ONCE = 1000

QUESTIONS = 3
PROMPT = 1.0
"""Seconds within which an answer says what time it is there: by half as much the two clocks may then differ unseen."""


class Desk(Protocol):
    """What is asked of the host's desk; each call may be repeated."""

    async def describe(self) -> dict[str, Any]:
        """Give the journal's name and its ``end``, the folder of the runs, and the time there."""

    def journal(self, offset: int, *, follow: bool) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the journal from an offset on, in pieces with their ``lines`` and the ``offset`` after them."""

    async def status(self, ids: Sequence[str]) -> dict[str, Any]:
        """Say how runs are; what it does not know is not among them."""

    async def cancel(self, run: str) -> str:
        """End a run, and give how it stands."""


class Follower:
    """Keeps the rows of one host.

    Args:
        desk: The host's desk.
        host: What the user calls the host.
        machine: The host's own name.
        opened: Opens the database.

    Attributes:
        caught_up: Set as soon as all that the journal had when we came is in the rows.
        trouble: Why rows are not written now; None: they are.
    """

    def __init__(self, desk: Desk, host: str, machine: str, opened: Callable[[], Plain] = open_plain) -> None:
        self.caught_up = asyncio.Event()
        self.trouble: SimmateRemoteError | None = None
        self._desk = desk
        self._host = host
        self._machine = machine
        self._opened = opened
        self._collector: Collector | None = None
        self._source: Source | None = None
        self._using = asyncio.Lock()
        self._letting_go: asyncio.TimerHandle | None = None
        self._opened_once = False
        self._position = 0
        self._moved = asyncio.Condition()
        self._going: set[asyncio.Task[None]] = set()

    async def follow(self) -> None:
        """Follow the journal until this is cancelled.

        Raises:
            SimmateRemoteError: The desk does not answer any more.
        """
        try:
            pause = FIRST_PAUSE
            while True:
                try:
                    await self._read()
                except DatabaseError as error:
                    pause = await self._wait_for_database(error, pause)
                else:
                    pause = FIRST_PAUSE
        finally:
            await asyncio.shield(self._let_go())

    async def reach_end(self) -> None:
        """Wait until all that the journal has now is in the rows."""
        end = (await self._desk.describe())["end"]
        async with self._moved:
            await self._moved.wait_for(lambda: self._position >= end)

    async def deliver(self) -> dict[str, str]:
        """Tell the host which runs somebody asked to cancel, and give how they stand then."""
        states: dict[str, str] = {}
        for run in await self._in_database(Collector.to_cancel):
            logger.info("run %s: the host is told to cancel it", run)
            try:
                states[run] = await self._desk.cancel(run)
            except SimmateRemoteError as error:  # also of a full disk: the others are to be cancelled all the same
                logger.warning("run %s cannot be cancelled: %s", run, error.what)
        return states

    async def news(self, patience: float) -> dict[str, Any] | None:
        """Give what became of this host's runs since somebody was told.

        Args:
            patience: Seconds to wait until all is collected.

        Returns:
            What :func:`~simmate_remote.runs.news.take_news` gives; None: there are no runs, or no database to tell.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.caught_up.wait(), patience)
        if not self._opened_once:
            return None
        try:
            return await self._in_database(lambda collector: _news(collector.plain, self._host))
        except DatabaseError as error:
            logger.info("no news can be told: %s", error)
            return None

    # Inside

    async def _describe(self) -> dict[str, Any]:
        """Ask the desk how it is; again, while its answers take too long to say what time it is there."""
        least, skew = math.inf, 0.0
        for _ in range(QUESTIONS):
            before = time.time()
            about: dict[str, Any] = await self._desk.describe()
            took = time.time() - before
            if took < least:
                least, skew = took, about["time"] - before - took / 2
            if took <= PROMPT:
                break
        self._source = Source(about["journal"], self._host, self._machine, about["folder"], skew)
        return about

    async def _read(self) -> None:
        """Read the journal, until something goes wrong."""
        about = await self._describe()
        if about["end"] <= EMPTY:
            position = about["end"]
            self.caught_up.set()
        else:
            position = await self._in_database(Collector.begin)
            if position > about["end"]:
                # Opening the database takes its time, and another session may have collected what came meanwhile.
                about = await self._describe()
            if position > about["end"]:
                logger.warning("the journal of %s is shorter than what was read of it", self._host)
                position = await self._in_database(Collector.rewind)
        await self._move_to(position)
        while True:
            if position >= about["end"] and not self.caught_up.is_set():
                await self._catch_up()
            piece = await self._next(position)
            position = await self._in_database(functools.partial(_take, begin=position, piece=piece))
            await self._move_to(position)

    async def _move_to(self, position: int) -> None:
        async with self._moved:
            self._position = position
            self._moved.notify_all()

    async def _next(self, position: int) -> dict[str, Any]:
        """Wait for the piece that follows a position; no more than that is on its way, however slow the database is."""
        async with contextlib.aclosing(self._desk.journal(position, follow=True)) as pieces:
            async for piece in pieces:
                return piece
        raise SimmateRemoteError("the host's desk ended its journal", host=self._host)

    async def _catch_up(self) -> None:
        unended = await self._in_database(Collector.unended)
        gone: list[str] = []
        for first in range(0, len(unended), IDS_AT_ONCE):
            some = unended[first : first + IDS_AT_ONCE]
            known = await self._desk.status(some)
            gone += [run for run in some if known.get(run) is None]
        if gone:
            # It leaves folders alone that it cannot read, and names them in its log; these are found again once it can.
            logger.warning(
                "%d runs are lost: %s does not find their folders, or cannot read them", len(gone), self._host
            )
            await self._in_database(lambda collector: collector.lose(gone))
        await self.deliver()
        self.caught_up.set()

    async def _in_database(self, work: Callable[[Collector], T]) -> T:
        """Do something with the collector in a thread; the database is opened for it if need be."""
        # A thread cannot be cancelled, and until it has ended nobody else may use the connection.
        return await asyncio.shield(asyncio.ensure_future(self._in_thread(work)))

    async def _in_thread(self, work: Callable[[Collector], T]) -> T:
        async with self._using:
            if self._letting_go is not None:
                self._letting_go.cancel()
            try:
                done = await asyncio.to_thread(self._with_collector, work)
            except SimmateRemoteError:
                raise
            except Exception as error:
                logger.exception("rows cannot be written")
                raise DatabaseError(f"rows cannot be written: {type(error).__name__}: {error}") from error
            self.trouble = None
            self._letting_go = asyncio.get_running_loop().call_later(IDLE, self._let_go_soon)
            return done

    def _with_collector(self, work: Callable[[Collector], T]) -> T:
        with writing():
            if self._collector is None:
                assert self._source is not None
                collector = Collector(self._opened(), self._source)
                collector.begin()
                self._collector = collector
                self._opened_once = True
            return work(self._collector)

    async def _wait_for_database(self, error: DatabaseError, pause: float) -> float:
        """Wait before the database is asked for again, and give how long to wait then."""
        self.trouble = error
        logger.warning("rows cannot be written now, and will be later: %s", self.trouble.what)
        await self._let_go()
        await asyncio.sleep(pause)
        return min(2 * pause, LONGEST_PAUSE)

    def _let_go_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self._let_go())
        self._going.add(task)
        task.add_done_callback(self._going.discard)

    async def _let_go(self) -> None:
        async with self._using:
            if self._letting_go is not None:
                self._letting_go.cancel()
            collector, self._collector = self._collector, None
            if collector is not None:
                await asyncio.to_thread(collector.plain.close)


def _news(plain: Plain, host: str) -> dict[str, Any]:
    # What had run here ended with the machine, too, if that is why somebody comes back.
    collect_here(plain)
    return take_news(plain, time.time(), host)


def _take(collector: Collector, begin: int, piece: dict[str, Any]) -> int:
    return collector.take(begin, piece["offset"], piece["lines"])
