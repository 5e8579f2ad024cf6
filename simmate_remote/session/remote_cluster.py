"""A remote machine as a Dask cluster: a thin view of the session's, in the user's process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Self

from distributed import Client, Security
from distributed.core import Status, rpc
from distributed.deploy.cluster import Cluster
from tornado.ioloop import IOLoop

from simmate_remote.cluster.first_connection import compute_for_first_connection
from simmate_remote.cluster.timeouts import LONGEST_OUTAGE, raise_timeouts
from simmate_remote.errors import SessionStoppedError, SimmateRemoteError
from simmate_remote.inventory import Host, load_host
from simmate_remote.link import Ask
from simmate_remote.session.client import SessionClient
from simmate_remote.session.join import join
from simmate_remote.session.state import change_in_words

logger = logging.getLogger(__name__)

PATIENCE_FOR_REASON = 5.0
PATIENCE_FOR_DEATH = 0.25
"""Seconds between the ends of two connections of one process that was killed: the kernel closes them in a row."""

PATIENCE_FOR_LEFTOVERS = 30.0


class RemoteCluster(Cluster):  # type: ignore[misc]
    """Scheduler and workers on a host, over one SSH login.

    ::

        from dask.distributed import Client
        from simmate_remote import RemoteCluster

        with RemoteCluster("lab-box") as cluster, Client(cluster) as client:
            print(client.submit(sum, [1, 2, 3]).result())

    If a session of this host lives, this is a view of it, and closing it changes nothing there. Otherwise it makes one,
    and everything on the host ends when this cluster is closed or its process ends, in whatever way; unless something
    was found there that an earlier ``connect`` meant to last.

    Args:
        host: The name of a host, or a :class:`simmate_remote.inventory.Host`.
        ask: Answers what the login asks (password, code, host key); default: the terminal, if there is one.
        step: Told what is being done while it connects.
        notice: Told when the host cannot be reached any more, and when it can again; default: a warning in the log.
        outlive: Let a session that is made outlive this process, as ``simmate-remote connect`` does.
        asynchronous: Whether it is used with ``async with`` and ``await``.
        loop: The event loop to use; for Dask's own use.

    Attributes:
        ended: Why the session is gone; None while it lives.

    Raises:
        SimmateRemoteError: It could not connect; the subclass says why, and nothing was left running.
    """

    def __init__(
        self,
        host: str | Host,
        *,
        ask: Ask | None = None,
        step: Callable[[str], None] = lambda _: None,
        notice: Callable[[str], None] | None = None,
        outlive: bool = False,
        asynchronous: bool = False,
        loop: IOLoop | None = None,
    ) -> None:
        self.host = host if isinstance(host, Host) else load_host(host)
        self.security: Security | None = None
        self.ended: SimmateRemoteError | None = None
        self._ask = ask
        self._step = step
        self._notice = notice or self._warn
        self._closing = False
        self._outlive = outlive
        self._session: SessionClient | None = None
        self._owner = False
        self._access: dict[str, Any] = {}
        self._watching: asyncio.Task[None] | None = None
        if loop is None and asynchronous:
            loop = IOLoop.current()
        super().__init__(
            asynchronous=asynchronous, loop=loop, quiet=True, name=self.host.name, scheduler_sync_interval="60 s"
        )
        if not self.called_from_running_loop:
            self._loop_runner.start()
            try:
                self.sync(self._start)
            except BaseException:
                self.close()
                raise

    # What Dask asks of a cluster

    async def _start(self) -> None:
        if self.status != Status.created:
            return
        self.status = Status.starting
        raise_timeouts()
        try:
            computing = asyncio.create_task(asyncio.to_thread(compute_for_first_connection))
            self._session = await join(self.host, lasting=self._outlive, ask=self._ask or _terminal(), step=self._tell)
            await computing
            self._owner = self._session.started and not self._outlive
            self._access = await self._session.access()
            self.security = Security(**self._access["security"])
            self.scheduler_comm = rpc(
                self._access["address"],
                connection_args=self.security.get_connection_args("client"),
                timeout=LONGEST_OUTAGE,
            )
            self._watching = asyncio.create_task(self._watch())
            await self._unless_it_ends(super()._start())
        except BaseException:
            await self._close()
            raise

    async def _close(self) -> None:
        self._closing = True
        if self.status == Status.closed:
            return
        if self._watching is not None and self._watching is not asyncio.current_task():
            self._watching.cancel()
        # The base class reads from its comms while it closes; a lost link must not make it raise.
        with contextlib.suppress(OSError):
            await super()._close()
        if self._session is not None:
            session, self._session = self._session, None
            if self._owner:
                with contextlib.suppress(SimmateRemoteError):
                    await (self._end_leftovers() if session.gone else session.stop())
            session.close()
            await session.wait_closed()
        self.status = Status.closed

    def close(self, timeout: float | None = None) -> Any:
        """Let go of the session; end everything on the host if this object made the session."""
        self._closing = True
        outcome = super().close(timeout)
        if not self.asynchronous:
            self._loop_runner.stop()
        return outcome

    @property
    def status(self) -> Status:
        """Where it stands, in Dask's terms; closed as soon as its session is gone.

        A client whose connection ends looks here at that very moment: whether it cancels everything and dials in
        vain for a minute, or closes and leaves its futures with the reason, depends on this answer.
        """
        if self._status is Status.running and not self._closing and self._session_is_gone():
            return Status.closed
        return self._status

    @status.setter
    def status(self, status: Status) -> None:
        self._status = status

    @property
    def scheduler_address(self) -> str:
        """The scheduler's address on this machine."""
        for client in self._clients():
            client.rpc.timeout = LONGEST_OUTAGE
        return str(super().scheduler_address)

    def __await__(self) -> Generator[Any, Any, Self]:
        async def start() -> Self:
            await self._start()
            return self

        return start().__await__()

    def scale(self, n: int = 0, memory: str | None = None, cores: int | None = None) -> Any:
        """Have so many workers, and stop adapting.

        Args:
            n: Number of workers.
            memory: Memory of all workers together, like ``"64 GiB"``: as many workers as make that.
            cores: Threads of all workers together: as many workers as make that.
        """
        return self.sync(self._living_session().scale, n, memory=memory, cores=cores)

    def adapt(self, *, minimum: int = 0, maximum: int | None = None, **options: Any) -> Any:
        """Have as many workers as the work needs; the session goes on with it when this process has ended.

        Args:
            minimum: Workers to keep in any case.
            maximum: Workers to have at the most; default: a core for each of their threads.
            options: Further options of ``distributed.deploy.Adaptive``, like ``interval`` or ``wait_count``.
        """
        if maximum is not None:
            options["maximum"] = maximum
        return self.sync(self._living_session().adapt, minimum=minimum, **options)

    @property
    def dashboard_link(self) -> str:
        """The dashboard's address on this machine, for a browser of this machine."""
        return str(self._access.get("dashboard", ""))

    @property
    def plan(self) -> set[str]:
        """Names of the workers that are there."""
        return set(self.observed)

    @property
    def requested(self) -> set[str]:
        """Names of the workers that are there."""
        return set(self.observed)

    @property
    def made_session(self) -> bool:
        """Whether the session is this object's own, so that everything on the host ends when it is closed."""
        return self._owner

    # Inside

    def _tell(self, text: str) -> None:
        self._log(text)
        self._step(text)

    def _living_session(self) -> SessionClient:
        if self._session is None:
            raise SessionStoppedError("the cluster is closed", host=self.host.name)
        return self._session

    async def _unless_it_ends(self, starting: Coroutine[Any, Any, None]) -> None:
        """Wait for Dask's part of the start, which would dial a session that has ended for a minute."""
        assert self._watching is not None
        task = asyncio.ensure_future(starting)
        await asyncio.wait({task, self._watching}, return_when=asyncio.FIRST_COMPLETED)
        if task.done() and isinstance(task.exception(), OSError):
            # The connection is the session's: that it has ended, and why, comes in a moment on the control socket.
            await asyncio.wait({self._watching}, timeout=PATIENCE_FOR_REASON)
        if self.ended is not None:
            task.cancel()
            await asyncio.wait({task})
            raise self.ended from (None if task.cancelled() else task.exception())
        await task

    async def _watch(self) -> None:
        """Let whatever waits for this cluster know when its session is gone."""
        assert self._session is not None
        before: dict[str, Any] | None = None

        def change(report: dict[str, Any]) -> None:
            nonlocal before
            self._notice(f"{self.host.name}: {change_in_words(report, before)}")
            before = report

        error = await self._session.wait_stopped(change)
        self._end(error)
        if not self._session.gone:
            self._session.notice_end()
            self._owner = False

    def _session_is_gone(self) -> bool:
        """Say whether the session is gone; where a client has just lost its connection, wait a moment to know it."""
        if self.ended is None and self._session is not None:
            broken = any(
                client.status == "running" and client.scheduler_comm and client.scheduler_comm.comm.closed()
                for client in self._clients()
            )
            if broken and self._session.hung_up(PATIENCE_FOR_DEATH):
                self._end(self._session.death())
        return self.ended is not None

    def _end(self, error: SimmateRemoteError) -> None:
        """Give the reason to all that waits; only the first one counts."""
        if self.ended is None:
            self.ended = error
            self._tell_futures(error)

    def _tell_futures(self, error: SimmateRemoteError) -> None:
        for client in self._clients():
            # Out of the client's hands: when it closes it cancels what it knows, and the reason would be lost.
            before, client.futures = client.futures, ToldFutures(error)
            for state in list(before.values()):
                if state.status in ("pending", "finished"):
                    state.set_error(error, None)

    def _clients(self) -> list[Client]:
        # Dask keeps no public list of them.
        return [client for client in list(Client._instances) if client.cluster is self]  # noqa: SLF001

    async def _end_leftovers(self) -> None:
        """End what a session of this object's left on the host when it was killed."""
        async with asyncio.timeout(PATIENCE_FOR_LEFTOVERS):
            successor = await join(self.host, lasting=False)
        try:
            await successor.stop()
        finally:
            successor.close()

    def _warn(self, text: str) -> None:
        logger.warning("%s", text)


class ToldFutures(dict[str, Any]):
    """The futures of a client whose scheduler is gone: each that is made from now on has failed, and knows why.

    Dask takes them while the client closes, and would cancel them without a reason, or never end them.

    Args:
        error: The reason.
    """

    def __init__(self, error: SimmateRemoteError) -> None:
        super().__init__()
        self._error = error

    def __setitem__(self, key: str, state: Any) -> None:
        super().__setitem__(key, state)
        state.set_error(self._error, None)

    def pop(self, key: str, *default: Any) -> Any:
        """Forget one, and give nothing that could be cancelled."""
        super().pop(key, None)

    def values(self) -> Any:
        """Give nothing that could be cancelled."""
        return ()


def _terminal() -> Ask | None:
    from simmate_remote.session.terminal import ask_terminal, has_terminal

    return ask_terminal if has_terminal() else None
