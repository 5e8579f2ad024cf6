"""The desk: takes runs in, has the scheduler execute them until each has an outcome, and tells what became of them.

It lives in the scheduler's process. What it knows is in the folders and the journal, so the next desk goes on where
this one ended, in whatever way that was.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from distributed import Client, Future, KilledWorker, Scheduler

from simmate_remote.errors import RunError
from simmate_remote.runs.host.at_work import cancel_here
from simmate_remote.runs.host.execution import FULL, GIVEN_UP, execute_run
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.lines import created_line, ended_line, missed_lines
from simmate_remote.runs.host.live import Live
from simmate_remote.runs.host.news import News, in_words, read_ending
from simmate_remote.runs.host.outcome import RunOutcome
from simmate_remote.runs.host.preparing import Preparations
from simmate_remote.runs.host.recovery import recover
from simmate_remote.runs.host.scribe import Scribe
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.host.store import RunStore

T = TypeVar("T")
logger = logging.getLogger(__name__)

LOST = "its worker died, or was lost"
ERROR_LIMIT = 30.0
"""Seconds for the client to hear of an error that the scheduler has told."""

CANCEL_LIMIT = 30.0
"""Seconds for all workers to hear that a run is cancelled; one that does not answer is told by the folder."""


class Desk:
    """All runs of one host.

    Args:
        store: Where they are.
        client: An asynchronous client of the scheduler, in its own process; it holds the tasks.
        scribe: Writes the journal.
        scheduler: The scheduler.

    Attributes:
        live: The runs that have not ended, by id.
        keys: The same by the keys of their tasks.
        news: Tells whoever listens.
    """

    def __init__(self, store: RunStore, client: Client, scribe: Scribe, scheduler: Scheduler) -> None:
        self.store = store
        self.scribe = scribe
        self.live: dict[str, Live] = {}
        self.keys: dict[str, Live] = {}
        self._client = client
        self._scheduler = scheduler
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="desk")
        self._preparations = Preparations(client, store, self.in_thread)
        self._turn = asyncio.Lock()
        self._settling: dict[str, Live] = {}
        self._settler: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self.news = News(store, self.live, self.in_thread)

    async def recover(self) -> None:
        """Go on where the desk before this one ended."""
        found = await self.in_thread(lambda: list(recover(self.store)))
        for each in found:
            for event, about in each.lines:
                self.scribe.tell(each.spec.id, event, **about)
        unfinished = [each.live() for each in found if each.unfinished]
        self._register(unfinished)
        await self._begin(unfinished)

    async def close(self) -> None:
        """Let go of everything; what is unfinished stays so."""
        for task in self._tasks:
            task.cancel()
        self._preparations.close()
        if self._settler is not None:
            self._settler.cancel()
        await self.scribe.close()
        self._pool.shutdown(wait=False)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do something with files beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    # What it is asked to do

    async def create(self, specs: list[Spec]) -> dict[str, str]:
        """Take runs in; when this returns the disk has them. A second time is no error, and changes nothing.

        Returns:
            Their folders.

        Raises:
            RunDamagedError: There is another run of one of these ids.
            OSError: The disk is full; none was taken in.
        """

        def write() -> tuple[list[RunFolder], set[str]]:
            before = {spec.id for spec in specs if self.store.run(spec.id).path.exists()}
            folders = self.store.create(specs)
            ended = {folder.id for folder in folders if folder.id in before and folder.has_outcome(folder.round())}
            return folders, ended

        folders, ended = await self.in_thread(write)
        new = []
        for spec, folder in zip(specs, folders, strict=True):
            if spec.id not in self.live and spec.id not in ended:
                self.scribe.tell(spec.id, "created", **created_line(folder, spec))
                new.append(Live.of(folder, spec))
        self._register(new)
        self.do(self._begin(new))
        return {folder.id: str(folder.path) for folder in folders}

    async def cancel(self, identity: str) -> str:
        """End a run that has not ended, and give how it stands; also when nobody has begun it.

        It ends on a full disk, too, which it may have filled: the journal tells of it as soon as there is space.

        Raises:
            RunNotFoundError: There is no such run.
        """
        live = self.live.get(identity)
        folder = self.store.run(identity)
        round_ = live.round if live else await self.in_thread(folder.round)

        def write() -> RunOutcome:
            folder.spec()
            seconds = live.lasted() if live else 0.0
            outcome = RunOutcome(identity, "cancelled", folder.attempts(), time.time(), seconds=seconds)
            try:
                if not folder.has_outcome(round_):
                    folder.cancel(round_)
                    folder.write_outcome(outcome, round_)
            except OSError as error:
                if error.errno not in FULL or live is None:
                    raise
                logger.warning("the run %s is cancelled, and the disk does not take that now: %s", identity, error)
                return outcome
            return folder.outcome(round_) or outcome

        outcome = await self.in_thread(write)
        if live is not None and outcome.state == "cancelled":
            future = live.future
            self._end(live, outcome)
            if future is not None:
                self.do(self._withdraw(live, future))
        return outcome.state

    async def restart(self, identity: str) -> None:
        """Let a run that has failed, or was cancelled, run again in its folder; of several who ask, one does it.

        Raises:
            RunNotFoundError: There is no such run.
            RunError: It has finished.
        """
        folder = self.store.run(identity)

        def write() -> tuple[Spec, int, int]:
            spec, round_ = folder.spec(), folder.round()
            outcome = read_ending(folder, round_)
            if isinstance(outcome, RunOutcome) and outcome.state == "finished":
                raise RunError(f"the run {identity} has finished, and is not run again", run=identity)
            if outcome is not None:
                round_ += 1
                folder.begin_round(round_)
            return spec, round_, folder.attempts()

        async with self._turn:
            if identity in self.live:
                return
            spec, round_, attempts = await self.in_thread(write)
            self.scribe.tell(identity, "restarted")
            live = Live.of(folder, spec, round_)
            live.attempt = attempts
            self._register([live])
        self.do(self._begin([live]))

    async def remove(self, identity: str) -> None:
        """Remove a run that has ended, and its folder.

        Raises:
            RunError: It has not ended.
        """
        if identity in self.live:
            raise RunError(f"the run {identity} has not ended", run=identity)
        await self.in_thread(partial(self.store.remove, identity))
        self.scribe.tell(identity, "removed")

    async def ask(self, function: str, arguments: list[Any]) -> list[Any]:
        """Call a function of this package on one worker of each machine, and give its answers; plain data.

        Args:
            function: ``module:function``.
            arguments: By position.

        Raises:
            RunError: It is of another package.
        """
        module, _, name = function.partition(":")
        if module.partition(".")[0] != __package__.partition(".")[0]:
            raise RunError(f"{function[:100]!r} is no function of this package")
        call = getattr(await self.in_thread(partial(importlib.import_module, module)), name)
        # Those of one machine have one environment. Without workers, the scheduler has to do.
        workers = {each.host: address for address, each in self._scheduler.workers.items()}
        if workers:
            answers = await self._client.run(call, *arguments, workers=list(workers.values()), on_error="ignore")
            if answers:
                return list(answers.values())
        return [await self.in_thread(partial(call, *arguments))]

    # What it hears from the scheduler

    def task_moved(self, key: str, finish: str) -> None:
        """Learn that a run's task has ended, or that somebody has made the scheduler forget it."""
        live = self.keys.get(key)
        if live is None or live.future is None:
            return
        if finish == "forgotten":
            self._interrupt(live, "its task was dropped")
            self.do(self._begin([live]))
        else:
            live.failed = finish == "erred"
            self._settling[live.id] = live
            if self._settler is None or self._settler.done():
                self._settler = asyncio.create_task(self._settle())

    def attempt_began(self, about: dict[str, Any]) -> None:
        """Learn that a worker has begun an attempt."""
        live = self.live.get(about["run"])
        if live is None or about["attempt"] <= live.attempt:
            return  # it has ended, or its end was quicker than this
        self._interrupt(live, LOST)
        self._tell_missed(live, about["attempt"] - 1, LOST)
        live.begin(about)
        line = {name: about[name] for name in ("attempt", "node", "pid")}
        self.scribe.tell(live.id, "started", worker=about["name"], **line)
        self.news.begun(live)

    def reported(self, about: dict[str, Any]) -> None:
        """Learn what a run, or a task of it, reports."""
        live = self.live.get(str(about.get("run")))
        if live is None:
            return
        for one in about.get("corrected") or ():
            line = {name: one.get(name) for name in ("handler", "seen", "done")}
            self.scribe.tell(live.id, "corrected", attempt=live.attempt, task=about.get("label", ""), **line)
        if live.report(about):
            self.news.report(live.id, about)

    def worker_lost(self, address: str) -> None:
        """Learn that a worker is gone."""
        for live in self.live.values():
            if live.state == "running" and live.address == address and live.id not in self._settling:
                self._interrupt(live, f"{live.worker} died, or was lost")

    # Inside

    def do(self, work: Awaitable[Any]) -> None:
        """Do something that nobody waits for."""

        async def logged() -> None:
            try:
                await work
            except Exception:
                logger.exception("the desk could not do what it has to")

        task = asyncio.create_task(logged())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _register(self, runs: Iterable[Live]) -> None:
        for live in runs:
            self.live[live.id] = live

    async def _begin(self, runs: list[Live]) -> None:
        """Hand runs to the scheduler, those that are still to be executed."""
        for live in runs:
            live.future = None
            if live.state == "running":
                live.state = "interrupted"
        ready = [live for live in runs if await self._is_prepared(live) and self.live.get(live.id) is live]
        for live in ready:
            self.keys.pop(live.key, None)
            live.key = f"{live.name}-{live.id}" + (f"-{time.monotonic_ns():x}" if live.key else "")
            self.keys[live.key] = live
        try:
            futures: list[Future] = self._client.map(
                execute_run,
                [str(live.folder.path) for live in ready],
                [live.round for live in ready],
                key=[live.key for live in ready],
                pure=False,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, each run has an outcome
            for live in ready:
                await self._fail(live, error)
            return
        for live, future in zip(ready, futures, strict=True):
            live.future = future

    async def _is_prepared(self, live: Live) -> bool:
        """Have at the cluster what a run needs; where that fails, it has failed."""
        try:
            await self._preparations.have(live)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has an outcome
            await self._fail(live, error)
            return False
        return True

    async def _settle(self) -> None:
        """Take note of how tasks have ended, many at once."""
        while self._settling:
            batch, self._settling = list(self._settling.values()), {}

            def read(batch: list[Live] = batch) -> list[RunOutcome | Exception | None]:
                return [read_ending(live.folder, live.round) for live in batch]

            for live, outcome in zip(batch, await self.in_thread(read), strict=True):
                try:
                    if isinstance(outcome, RunOutcome):
                        self._end(live, outcome)
                    elif self.live.get(live.id) is live:
                        self.do(self._settle_without(live, outcome))
                except Exception:  # the others' ends are not to be lost with it
                    logger.exception("the end of the run %s cannot be told", live.id)

    async def _settle_without(self, live: Live, error: BaseException | None) -> None:
        """Decide what becomes of a run whose task has ended without an outcome."""
        future = live.future
        if error is None and live.failed and future is not None:
            # The client hears of it a moment later than the scheduler.
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                error = await asyncio.wait_for(future.exception(), ERROR_LIMIT)
        if isinstance(error, KilledWorker) or error is None:
            # Dask has given it up; whether this was once too often is known in its folder.
            self._interrupt(live, LOST)
            await self._begin([live])
        else:
            await self._fail(live, error)

    async def _fail(self, live: Live, error: BaseException) -> None:
        """Let a run have failed; where its folder does not take that, the journal does."""
        outcome = RunOutcome(live.id, "failed", live.attempt, time.time(), worker=live.worker, error=in_words(error))
        try:
            await self.in_thread(lambda: live.folder.write_outcome(outcome, live.round))
            written = await self.in_thread(lambda: live.folder.outcome(live.round))
        except (OSError, RunError):
            written = None
        self._end(live, written or outcome)

    def _end(self, live: Live, outcome: RunOutcome) -> None:
        if self.live.get(live.id) is not live:
            return
        del self.live[live.id]
        self.keys.pop(live.key, None)
        self._settling.pop(live.id, None)
        live.future = None
        given_up = LOST if (outcome.error or {}).get("type") == GIVEN_UP else ""
        if given_up or outcome.attempt > live.attempt:
            self._interrupt(live, LOST)
        self._tell_missed(live, outcome.attempt, given_up)
        self.scribe.tell(live.id, outcome.state, **ended_line(outcome))
        self.news.ended(outcome)

    def _tell_missed(self, live: Live, last: int, reason: str) -> None:
        """Tell of attempts whose workers died before they could."""
        if last > live.attempt:
            for event, about in missed_lines(live.folder, live.attempt, last, reason):
                self.scribe.tell(live.id, event, **about)
            live.attempt = last

    def _interrupt(self, live: Live, reason: str) -> None:
        if live.state == "running":
            live.state = "interrupted"
            self.scribe.tell(live.id, "interrupted", attempt=live.attempt, reason=reason)
            self.news.status_changed(live)

    async def _withdraw(self, live: Live, future: Future) -> None:
        """Let the scheduler and the workers know that nobody wants a run any more."""
        await self._client.cancel([future], force=True)
        with contextlib.suppress(TimeoutError, OSError):
            await asyncio.wait_for(
                self._client.run(cancel_here, live.program, live.id, live.round, on_error="ignore"), CANCEL_LIMIT
            )
