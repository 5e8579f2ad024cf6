"""The session's control socket: what its clients, a command or a user's process, may ask of it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
from collections.abc import AsyncIterator
from typing import Any

from simmate_remote.errors import SessionStoppedError, SimmateRemoteError
from simmate_remote.link import Prompt
from simmate_remote.session.first_login import FirstLogin
from simmate_remote.session.host_clock import ahead_of_ours, by_our_clock
from simmate_remote.session.order import SessionOrder
from simmate_remote.session.session import Session
from simmate_remote.session.state import State
from simmate_remote.streams.calls import Caller
from simmate_remote.version import __version__

logger = logging.getLogger(__name__)

PATIENCE_FOR_OWNER = 30.0
PATIENCE_FOR_FOLLOWER = 5.0
PATIENCE_FOR_ANSWERER = 15.0
PATIENCE_FOR_NOTICE = 1.0
PATIENCE_FOR_LAST_WORDS = 1.0
PATIENCE_FOR_ROWS = 30.0
PACE_FOR_RUNS = 5.0
"""Seconds between two questions whether runs are unfinished, for which alone a session stays."""


class Control:
    """The clients of one session.

    Args:
        host: What the inventory says.
        first_login: The login there, under way.
    """

    def __init__(self, host: SessionOrder, first_login: FirstLogin) -> None:
        self.session = Session(host, first_login, self)
        self.clients: set[ControlClient] = set()
        self.looked: dict[str, Any] = {"workers": [], "tasks": None}
        self.followed = asyncio.Event()
        self._answerer_came = asyncio.Event()
        self.told = 0  # of the deaths on the host
        self._owner_timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | asyncio.Task[bool] | None = None

    def await_owner(self) -> None:
        """End the session soon unless somebody owns it, or it shall last."""
        if self._owner_timer is not None:
            self._owner_timer.cancel()
        self._owner_timer = asyncio.get_running_loop().call_later(PATIENCE_FOR_OWNER, self._nobody_owns)

    def client(self) -> ControlClient:
        """Make the protocol of a new client."""
        return ControlClient(self)

    def answerer_came(self) -> None:
        """Learn that a client is there that can pass questions on."""
        self._answerer_came.set()
        self._answerer_came = asyncio.Event()

    async def tell_end(self) -> None:
        waiting = [client.noticed.wait() for client in self.clients if client.waits_for_end]
        if waiting:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_FOR_NOTICE)

    def _nobody_owns(self) -> None:
        self.owner_gone("the process that wanted this session never came, or is gone")

    def owner_gone(self, why: str) -> None:
        """End the session that nobody owns any more, and what it has on the host, unless that shall last."""
        if not self._is_kept() and (self._ending is None or self._ending.done()):
            self._ending = asyncio.create_task(self._end_unless_runs_go_on(why))

    def end(self, why: str, *, end_everything: bool | None = None) -> None:
        """End the session, and what it has on the host; default: unless that shall last."""
        error = SessionStoppedError(why, host=self.session.host.name)
        self._ending = asyncio.create_task(self.session.stop(end_everything=end_everything, error=error))

    async def _end_unless_runs_go_on(self, why: str) -> None:
        over = 0
        while not self._is_kept():
            ends = await self.session.ends_with_maker()
            if self._is_kept():  # somebody came meanwhile
                return
            over = over + 1 if ends is not False and not self._somebody_waits() else 0
            # What it stayed for is in the rows here before it ends, and whoever comes for the outcome still finds it.
            if over > 1 or (ends is not False and not self.session.for_runs):
                self.end(why, end_everything=ends)
                return
            if over:
                await self.session.collecting.finish(PATIENCE_FOR_ROWS)
            # Others' runs, or such as an earlier session has left: this one stays for them.
            try:
                await self.session.last(for_runs=True)
            except SimmateRemoteError as error:
                logger.warning("the host could not be told that its runs go on: %s", error)
            await asyncio.sleep(PACE_FOR_RUNS)

    def _is_kept(self) -> bool:
        """Say whether the session stays, or is ending anyway."""
        session = self.session
        lasts = session.lasting and not session.for_runs
        return lasts or session.stopping or any(client.owns for client in self.clients)

    def _somebody_waits(self) -> bool:
        """Say whether a program is there that works with what the session has on the host."""
        return any(client.waits_for_end for client in self.clients)

    async def somebody_follows(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.followed.wait(), PATIENCE_FOR_FOLLOWER)

    def somebody_answers(self) -> bool:
        return any(client.answers for client in self.clients)

    async def somebody_came(self) -> None:
        await self._answerer_came.wait()

    async def ask(self, prompt: Prompt) -> str | None:
        """Ask the person behind the client that came last; nobody is there: nobody can be asked."""
        progress = self.session.progress
        if not self.somebody_answers():
            try:
                await asyncio.wait_for(self._answerer_came.wait(), PATIENCE_FOR_ANSWERER)
            except TimeoutError:
                return None
        before = progress.state
        progress.enter(State.WAITING)
        try:
            for client in sorted(self.clients, key=lambda each: each.order, reverse=True):
                if client.answers:
                    answer: str | None = await client.call("ask", prompt=dataclasses.asdict(prompt))
                    return answer
        except SimmateRemoteError:
            pass  # the client went away while its person was asked: nobody can be asked
        finally:
            progress.enter(before)
        return None


class ControlClient(Caller):
    """One client of a session.

    Args:
        control: Where it belongs.
    """

    def __init__(self, control: Control) -> None:
        names = (
            "takes_clients",
            "status",
            "follow",
            "own",
            "last",
            "access",
            "scale",
            "adapt",
            "logs",
            "news",
            "away",
            "deliver",
            "open_desk",
            "lend",
            "open_errand",
            "stop",
            "changes",
            "notice",
            "use_agent",
            "there",
        )
        super().__init__({name: getattr(self, name) for name in names})
        self.order = 0
        self.owns = False
        self.answers = False
        self.waits_for_end = False
        self.noticed = asyncio.Event()
        self._control = control
        self._session = control.session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._control.clients.add(self)
        self.order = max(client.order for client in self._control.clients) + 1

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.noticed.set()
        self._control.clients.discard(self)
        if self.owns:
            self._control.owner_gone("the process that made this session ended")

    def takes_clients(self) -> bool:
        """Say whether a new client can be served: a session in its last moments still listens, and cannot."""
        return not self._session.stopping

    async def status(self) -> dict[str, Any]:
        """Say what the session is doing."""
        session = self._session
        remote = session.remote
        report: dict[str, Any] = {
            **session.progress.describe(),
            "pid": os.getpid(),
            "version": __version__,
            "lasting": session.lasting,
            "lease": session.host.lease,
            "ssh": session.host.ssh,
            "warnings": [*remote.warnings, *filter(None, [session.collecting.trouble])],
            "events": session.dask.deaths,
        }
        if remote.launched is not None:
            found = remote.launched.found
            report["python"] = {"executable": found.executable, "version": list(found.python)}
            report["hostname"] = found.hostname
            report["found"] = remote.found
        if session.dask.address:
            await self._until_begun()
            connected = session.progress.state is State.CONNECTED
            if connected and (looked := await session.dask.look()) is not None:
                self._control.looked = looked
            report |= {
                "scheduler": session.dask.address,
                "scheduler_there": session.dask.address_there,
                "dashboard": session.dask.gate.link if session.dask.gate else None,
                # While the host cannot be reached, what it had when it was last asked.
                "workers": self._control.looked["workers"],
                "tasks": self._control.looked["tasks"] if connected else None,
                "said": session.dask.plan.said if session.dask.plan else None,
            }
        return report

    async def follow(self, answers: bool) -> AsyncIterator[str]:
        """Yield the steps of connecting until it is done, and pass questions on meanwhile."""
        self.answers = answers
        self._control.followed.set()
        if answers:
            self._control.answerer_came()
        try:
            async for step in self._session.progress.follow():
                yield step
        finally:
            # Its person now does something else in the terminal.
            self.answers = False

    def use_agent(self, path: str) -> None:
        """Use this SSH agent from now on: the one of the shell that started the session may be gone."""
        os.environ["SSH_AUTH_SOCK"] = path

    async def there(self) -> dict[str, Any]:
        """Say what runs on the host, as its keeper tells it."""
        report: dict[str, Any] = by_our_clock(*await ahead_of_ours(self._session.remote.keeper.call("report")))
        return report

    def own(self) -> None:
        """Let the session end with this client."""
        self.owns = True

    async def last(self, for_runs: bool = False) -> None:
        """Let the session outlive its maker; perhaps only for as long as a run on the host is unfinished."""
        await self._session.last(for_runs=for_runs)

    async def access(self) -> dict[str, Any]:
        """Give what a Dask client needs: the address here, and a certificate for it."""
        dask = self._session.dask
        assert dask.certificates is not None
        return {
            "address": dask.address,
            "security": dask.certificates.client(),
            "dashboard": dask.gate.link if dask.gate else None,
            "warnings": self._session.remote.warnings,
            "said": dask.plan.said if dask.plan else None,
        }

    async def scale(self, n: int, memory: str | None = None, cores: int | None = None) -> None:
        """Have so many workers."""
        cluster = await self._session.dask.cluster()
        if cluster._adaptive is not None:  # noqa: SLF001 - Dask's own widget does the same
            cluster._adaptive.stop()  # noqa: SLF001
        cluster.scale(n, memory=memory, cores=cores)
        await cluster

    async def adapt(self, options: dict[str, Any]) -> None:
        """Have as many workers as the work needs."""
        cluster = await self._session.dask.cluster()
        cluster.adapt(**{"maximum": self._session.dask.most_workers, **options})

    async def news(self, patience: float) -> dict[str, Any] | None:
        """Give what became of the host's runs since somebody was told."""
        return await self._session.collecting.news(patience)

    def away(self) -> dict[str, Any]:
        """Say how the link was, and what died on the host, since somebody was told."""
        deaths = self._session.dask.deaths[self._control.told :]
        self._control.told += len(deaths)
        return {**self._session.progress.take_away(), "deaths": deaths}

    async def deliver(self) -> dict[str, str]:
        """Tell the host which runs are to be cancelled."""
        return await self._session.collecting.deliver()

    async def lend(self, target: str, path: str) -> str:
        """Let processes on the host connect to a Unix socket of this machine."""
        return await self._session.remote.lend(target, path)

    async def open_desk(self, path: str) -> None:
        """Let connections to a Unix socket here be to the host's desk for runs."""
        await self._session.remote.open_desk(path)

    async def open_errand(self, module: str, path: str) -> None:
        """Let connections to a Unix socket here be to a module that starts on the host."""
        await self._session.remote.open_errand(module, path)

    def logs(self, names: list[str] | None, last: int, follow: bool) -> AsyncIterator[dict[str, str]]:
        """Yield pieces of the host's logs."""
        return self._session.remote.read_logs(names, last, follow=follow)

    async def changes(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the states that the session enters, and raise why it stopped, for whoever waits for work there."""
        self.waits_for_end = True
        async for report in self._session.progress.changes():
            yield report

    def notice(self) -> None:
        """Learn that the client has dealt with the end."""
        self.noticed.set()

    async def stop(self, end_everything: bool | None) -> bool:
        """End the session, and give whether everything on the host has ended too."""
        if end_everything is None and self.owns:
            end_everything = await self._session.ends_with_maker()
        return await self._session.stop(end_everything=end_everything)

    async def take_leave(self) -> None:
        """Close the connection, once the calls under way have been answered: why the session ended is among them."""
        if self._serving:
            await asyncio.wait(set(self._serving.values()), timeout=PATIENCE_FOR_LAST_WORDS)
        self.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.closed.wait(), PATIENCE_FOR_LAST_WORDS)

    async def _until_begun(self) -> None:
        """Wait for the first workers, as long as the session is connected."""
        begun = asyncio.create_task(self._session.dask.begun())
        left = asyncio.create_task(self._session.progress.wait_left(State.CONNECTED))
        await asyncio.wait({begun, left}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        left.cancel()
