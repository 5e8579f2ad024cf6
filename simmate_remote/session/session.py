"""A session: from a host's name to a cluster that is simply here, through every outage, and back to nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from simmate_remote.errors import (
    KeeperElsewhereError,
    KeeperGoneError,
    Remedy,
    SchedulerError,
    SessionStoppedError,
    SimmateRemoteError,
)
from simmate_remote.session.collecting import Collecting
from simmate_remote.session.first_login import FirstLogin
from simmate_remote.session.order import SessionOrder
from simmate_remote.session.people import People
from simmate_remote.session.reconnection import Reconnection
from simmate_remote.session.remote_dask import RemoteDask, import_for_start
from simmate_remote.session.remote_host import DESK, RemoteHost
from simmate_remote.session.state import Progress, State
from simmate_remote.streams.calls import Caller

logger = logging.getLogger(__name__)

PATIENCE_FOR_ROWS = 5.0
"""Seconds, at the end, for the rows of what was just told."""

PATIENCE_FOR_DESK = 5.0
"""Seconds for its answer whether runs are unfinished, when whoever made the session is gone."""


class Session:
    """The one session of a host, in a process of its own.

    Args:
        host: What the inventory says.
        first_login: The login there, under way.
        people: Who can be asked, and is told.

    Attributes:
        progress: Its state, for whoever wants to know.
        lasting: Whether it, and what it has on the host, outlive its maker.
    """

    def __init__(self, host: SessionOrder, first_login: FirstLogin, people: People) -> None:
        self.host = host
        self.progress = Progress(host.name)
        self.stopped = asyncio.Event()
        self.remote = RemoteHost(host, first_login, self._process_ended, self._everything_ends)
        self.dask = RemoteDask(self.remote, self._cluster_failed)
        self.collecting = Collecting(self.remote)
        self.lasting = False
        self._for_runs = False
        self.stopping = False
        self._ended_everything = False
        self._people = people
        self._living: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Connect, and stay connected until the session is stopped, or nothing is left to be connected to."""
        self._living = asyncio.create_task(self._live())
        try:
            await self._living
        except asyncio.CancelledError:
            if not self.stopping:
                raise
        except KeeperGoneError as error:
            await self.stop(end_everything=False, error=error)
        except SimmateRemoteError as error:
            await self.stop(error=error)
        except Exception as error:
            logger.exception("the session failed")
            await self.stop(error=SessionStoppedError(f"the session failed: {type(error).__name__}: {error}"))
            raise
        await self.stopped.wait()

    async def last(self, *, for_runs: bool = False) -> None:
        """Let this session, and what it has on the host, outlive its maker.

        Args:
            for_runs: Whether it is meant to do so only for as long as a run there is unfinished.
        """
        self._for_runs = for_runs and (self._for_runs or not self.lasting)
        if not self.lasting:
            self.lasting = True
            if self.progress.state is not State.CONNECTING:
                await self.remote.keeper.call("note", name="lasting", value=True)

    @property
    def for_runs(self) -> bool:
        """Whether it lasts only for as long as a run on the host is unfinished."""
        return self.lasting and self._for_runs

    async def ends_with_maker(self) -> bool | None:
        """Ask whether everything on the host ends with whoever made this session; None: unless it is meant to last."""
        if self.lasting and not self.for_runs:
            return False
        unfinished = await self._unfinished_runs()
        if unfinished is None:
            # Before it is connected, what an earlier session has left may turn out to be meant to last.
            return False if self.lasting else None
        return not unfinished

    async def stop(self, *, end_everything: bool | None = None, error: SimmateRemoteError | None = None) -> bool:
        """End the session, and give whether everything on the host has ended too.

        Args:
            end_everything: Whether what runs on the host ends too; otherwise it goes on for as long as its lease.
                Default: unless it is meant to last.
            error: Why, if it was not asked for.
        """
        if self.stopping:
            await self.stopped.wait()
            return self._ended_everything
        self.stopping = True
        if self.progress.state is State.CONNECTED and self._living is not None:
            # That the keeper is gone soon is no loss to come back from.
            self._living.cancel()
        how = {True: " everything", None: " what is not meant to last", False: ""}[end_everything]
        logger.info("stopping%s: %s", how, error.what if error else "asked to")
        # Where the host, or the scheduler there, is what is gone, nothing can be told any more.
        tells = self.progress.state is State.CONNECTED and (error is None or isinstance(error, SessionStoppedError))
        if error is not None:
            # Whoever waits for work there hears the reason before its connection ends.
            self.progress.enter(State.STOPPED, error)
            await self._people.tell_end()
        try:
            await self._wind_up(end_everything, tells)
        finally:
            # Whatever fails on the way, nobody shall wait for this process for ever.
            self.progress.enter(State.STOPPED)
            self.stopped.set()
        return self._ended_everything

    # Inside

    async def _unfinished_runs(self) -> int | None:
        """Ask the host's desk how many runs are unfinished; None: it does not say."""
        if self.progress.state is not State.CONNECTED:
            return None
        caller = None
        try:
            async with asyncio.timeout(PATIENCE_FOR_DESK):
                _, caller = self.remote.conversation.open(DESK, Caller)
                return int((await caller.call("describe"))["unfinished"])
        except (SimmateRemoteError, TimeoutError) as error:
            logger.info("the desk does not say which runs are unfinished: %s", error or "no answer")
            return None
        finally:
            if caller is not None:
                caller.close()

    async def _wind_up(self, end_everything: bool | None, tells: bool) -> None:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.remote.leave)
            stack.push_async_callback(self.dask.leave)
            if self._living is not None:
                stack.callback(self._living.cancel)
            stack.push_async_callback(self.collecting.leave)
            if tells:
                await self.collecting.finish(PATIENCE_FOR_ROWS)
            await self.dask.close_ways()
            if end_everything or (end_everything is None and not self.lasting):
                self._ended_everything = await self.remote.end_everything(unless_lasting=end_everything is None)

    async def _live(self) -> None:
        self.progress.step(f"logging in at {self.host.ssh}")
        # It may have failed already, and whoever made this session shall hear why.
        await self._people.somebody_follows()
        await self.remote.log_in(self._people.ask)
        try:
            await self.remote.unless_lost(self._begin())
        except KeeperElsewhereError as error:
            self.progress.step(f"going to {error.hostname}, which has what an earlier session left")
            await self.remote.go_to_node(error, self._people.ask)
            await self.remote.unless_lost(self._begin())
        self.progress.enter(State.CONNECTED)
        self.collecting.start(self.dask.begun)
        await Reconnection(self.remote, self.progress, self._people).keep()

    async def _begin(self) -> None:
        """Have the keeper, the scheduler and the workers."""
        remote, progress = self.remote, self.progress
        progress.step("starting the keeper")
        # A Python starts over there meanwhile, and this process would only wait for it.
        await asyncio.gather(remote.reach_keeper(), asyncio.to_thread(import_for_start))
        # Somebody meant what is found there to last: it must not end with whoever made this session.
        self.lasting = self.lasting or bool(remote.about["notes"].get("lasting"))
        progress.step("starting scheduler and workers")
        await self.dask.start()
        # While the link is down nobody holds the lease, and a lid may be closed for the night.
        await asyncio.gather(
            remote.keeper.call("renew_lease", length=self.host.lease),
            remote.keeper.call("note", name="lasting", value=self.lasting),
        )

    def _cluster_failed(self, reason: SimmateRemoteError) -> None:
        self._ending = asyncio.create_task(self.stop(error=reason))

    def _everything_ends(self, reason: str) -> None:
        """Learn that everything on the host is about to end: by its lease, or by whoever asked for it from anywhere."""
        if not self.stopping:
            error = KeeperGoneError(
                reason,
                host=self.host.name,
                remedies=(Remedy(f"simmate-remote connect {self.host.name}", "starts afresh"),),
            )
            self._ending = asyncio.create_task(self.stop(end_everything=False, error=error))

    def _process_ended(self, process: str, code: int | None, tail: str) -> None:
        if self.stopping:
            return
        logger.warning("%s ended by itself with %s", process, code)
        self.dask.note_death(process, code)
        if process in ("scheduler", "nursery"):
            error = SchedulerError(
                f"the {process} died (exit code {code})",
                host=self.host.name,
                meanwhile="everything else there is being ended",
                remedies=(Remedy(f"simmate-remote connect {self.host.name}", "starts afresh"),),
                detail=tail,
            )
            self._ending = asyncio.create_task(self.stop(end_everything=True, error=error))
