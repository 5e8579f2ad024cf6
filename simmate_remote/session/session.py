"""A session: from a host's name to a cluster that is simply here, and back to nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from simmate_remote.errors import (
    KeeperError,
    LinkLostError,
    Remedy,
    SchedulerError,
    SessionStoppedError,
    SimmateRemoteError,
)
from simmate_remote.link import Ask
from simmate_remote.session.order import SessionOrder
from simmate_remote.session.remote_host import RemoteHost
from simmate_remote.session.state import Progress, State
from simmate_remote.streams.forward import forward_port, port_of

if TYPE_CHECKING:
    from simmate_remote.cluster.certificates import Certificates
    from simmate_remote.cluster.cluster import HostCluster
    from simmate_remote.cluster.workers import WorkerPlan
    from simmate_remote.session.dashboard_gate import DashboardGate

logger = logging.getLogger(__name__)

MAX_REPLACEMENTS = 3
LATE_END = 0.5
LINK_AFTER_CARRIER = 1.0
SHORT_LEASE = 10.0
"""Seconds that a host keeps the things of a session that ends with its maker, once that session is gone."""


class Session:
    """The one session of a host, in a process of its own.

    Args:
        host: What the inventory says.
        ask: Asks a person, through whatever client is there to pass the question on.
        tell_clients: Waits until the clients have heard that the session has stopped, but not for long.
    """

    def __init__(self, host: SessionOrder, ask: Ask, tell_clients: Callable[[], Awaitable[None]]) -> None:
        self.host = host
        self.progress = Progress(host.name)
        self.stopped = asyncio.Event()
        self.remote = RemoteHost(host, self._process_ended)
        self.gate: DashboardGate | None = None
        self.address = ""
        self.lasting = False
        self.events: list[dict[str, Any]] = []
        self.plan: WorkerPlan | None = None
        self.certificates: Certificates | None = None
        self._cluster: asyncio.Future[HostCluster] = asyncio.get_running_loop().create_future()
        self.tell_clients = tell_clients
        self._ask = ask
        self._ports: asyncio.Server | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.stopping = False

    @property
    def lease(self) -> float:
        """Seconds that the host keeps everything when this session is gone."""
        return self.host.lease if self.lasting else SHORT_LEASE

    async def run(self) -> None:
        """Connect, and stay until the session is stopped or its link is lost."""
        self._connecting = asyncio.create_task(self._connect())
        try:
            await self._connecting
        except asyncio.CancelledError:
            if not self.stopping:
                raise
        except SimmateRemoteError as error:
            await self.stop(error=error)
        except Exception as error:
            logger.exception("connecting failed")
            await self.stop(error=SessionStoppedError(f"connecting failed: {type(error).__name__}: {error}"))
            raise
        await self.stopped.wait()

    @property
    def most_workers(self) -> int:
        """As many workers as have a core for each of their threads."""
        assert self.plan is not None
        return max(1, int(self.remote.about["cores"]) // self.plan.threads)

    async def cluster(self) -> HostCluster:
        """Give the cluster, as soon as it is there."""
        return await asyncio.shield(self._cluster)

    async def last(self) -> None:
        """Let this session, and what it has on the host, outlive its maker."""
        self.lasting = True
        if self.progress.state is State.CONNECTED:
            await self.remote.keeper.call("renew_lease", length=self.lease)

    async def stop(self, *, end_everything: bool | None = None, error: SimmateRemoteError | None = None) -> None:
        """End the session.

        Args:
            end_everything: Whether what runs on the host ends too; otherwise it goes on for as long as its lease.
                Default: unless it is meant to last.
            error: Why, if it was not asked for.
        """
        if self.stopping:
            await self.stopped.wait()
            return
        self.stopping = True
        if end_everything is None:
            end_everything = not self.lasting
        logger.info("stopping%s: %s", " everything" if end_everything else "", error.what if error else "asked to")
        if error is not None:
            # Whoever waits for work there hears the reason before its connection ends.
            self.progress.enter(State.STOPPED, error)
            await self.tell_clients()
        if self._ports is not None:
            self._ports.close()
        if self.gate is not None:
            await self.gate.close()
        if end_everything:
            await self.remote.end_everything()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._cluster.done() and not self._cluster.cancelled() and self._cluster.exception() is None:
            with contextlib.suppress(Exception):  # its scheduler may be gone already, in any way
                await asyncio.wait_for(self._cluster.result().leave(), 5)
        else:
            self._cluster.cancel()
        await self.remote.leave()
        self.progress.enter(State.STOPPED)
        self.stopped.set()

    # Inside

    async def _connect(self) -> None:
        host, progress = self.host, self.progress
        progress.step(f"logging in at {host.ssh}")
        await self.remote.log_in(self._ask)
        assert self.remote.link is not None
        self._watching = asyncio.create_task(self._watch_link())
        progress.step("starting the keeper")
        await self.remote.reach_keeper(SHORT_LEASE)
        # Somebody meant what is found there to last: it must not end with whoever made this session.
        self.lasting = self.lasting or self.remote.found_lease > SHORT_LEASE
        await self.remote.keeper.call("renew_lease", length=self.lease)
        progress.step("starting scheduler and workers")
        from simmate_remote.cluster.certificates import Certificates, make_certificates
        from simmate_remote.cluster.workers import plan_workers

        about = self.remote.about
        self.plan = plan_workers(host.workers, about["cores"])
        children = await self.remote.children()
        noted = about["notes"].get("certificates")
        self.certificates = Certificates(*noted) if noted and children else make_certificates()
        await self.remote.keeper.call("note", name="certificates", value=list(self.certificates))
        living = [child["name"] for child in children if child["name"] != "scheduler"]
        await self._start_cluster(living or [f"worker-{number}" for number in range(self.plan.count)])

    async def _start_cluster(self, workers: list[str]) -> None:
        """Start scheduler and workers, or find them, and open the ways to them from here.

        The host imports distributed for half a second, and so does this process meanwhile.
        """
        assert self.plan is not None
        assert self.certificates is not None
        from simmate_remote.cluster.configuration import scheduler_configuration, worker_configuration
        from simmate_remote.session.dashboard_gate import DashboardGate

        remote, about = self.remote, self.remote.about
        folders = {"logs": about["logs"], "runtime": about["runtime"], "work": f"{about['runtime']}/work"}
        importing = asyncio.create_task(asyncio.to_thread(_import_cluster))
        configuration = scheduler_configuration(self.certificates, self.plan, folders)
        scheduler = await remote.start_child("scheduler", "scheduler", configuration)
        configure = partial(worker_configuration, self.certificates, self.plan, folders, scheduler=scheduler["address"])
        early = [asyncio.create_task(remote.start_child(name, "worker", configure(name=name))) for name in workers]
        await remote.keeper.call(
            "offer", target="scheduler", place={"port": int(scheduler["address"].rpartition(":")[2])}
        )
        await remote.keeper.call("offer", target="dashboard", place={"path": scheduler["dashboard"]})
        self._ports = await forward_port(remote.conversation, "scheduler", late_end=LATE_END)
        self.address = f"tls://127.0.0.1:{port_of(self._ports)}"
        self.gate = DashboardGate(self.host.name, lambda: remote.conversation.open_reader_writer("dashboard"))
        await self.gate.start()
        self._starting = asyncio.create_task(self._adopt(importing, early, workers, folders))
        self.progress.enter(State.CONNECTED)

    async def _adopt(
        self,
        importing: asyncio.Task[type[HostCluster]],
        early: list[asyncio.Task[dict[str, Any]]],
        workers: list[str],
        folders: dict[str, str],
    ) -> None:
        """Let Dask's cluster take over what was started, as soon as it is imported; clients need not wait for it."""
        assert self.plan is not None
        assert self.certificates is not None
        cluster_class = await importing
        # What failed is tried again by the cluster, which also tells the reason.
        await asyncio.gather(*early, return_exceptions=True)
        from simmate_remote.cluster.timeouts import raise_timeouts

        raise_timeouts()
        await self._await_cluster(
            cluster_class(
                host=self.remote,
                name=self.host.name,
                certificates=self.certificates,
                plan=self.plan,
                workers=workers,
                external_address=self.address,
                folders=folders,
            )
        )

    async def _await_cluster(self, cluster: HostCluster) -> None:
        try:
            await cluster
        except Exception as error:
            logger.exception("the cluster could not be started")
            reason = error if isinstance(error, SimmateRemoteError) else error.__cause__
            if not isinstance(reason, SimmateRemoteError):
                reason = SchedulerError(f"the cluster did not start: {error}", host=self.host.name)
            self._cluster.set_exception(reason)
            # The exception is told by the session's end, whether or not anybody waits for the cluster.
            self._cluster.exception()
            await self.stop(error=reason)
        else:
            self._cluster.set_result(cluster)

    async def _replace_worker(self, name: str) -> None:
        recent = [each for each in self.events if each["name"] == name and each["time"] > time.time() - 60]
        if len(recent) > MAX_REPLACEMENTS:
            logger.warning("%s died %d times within a minute and is not started again", name, len(recent))
            return
        try:
            await (await self.cluster()).replace(name)
        except SimmateRemoteError as error:
            logger.warning("%s could not be started again: %s", name, error)

    async def _watch_link(self) -> None:
        """End the session when its link is lost, or when the keeper at the other end of it is gone."""
        assert self.remote.link is not None
        lost = asyncio.create_task(self.remote.link.wait_lost())
        gone = asyncio.create_task(self.remote.unreachable.wait())
        await asyncio.wait({lost, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        # A link that is lost takes its carriers along; which of the two is told first is chance.
        await asyncio.wait({lost}, timeout=LINK_AFTER_CARRIER)
        if self.stopping:
            lost.cancel()
            return
        remedies = (Remedy(f"simmate-remote connect {self.host.name}", "connects again"),)
        error: SimmateRemoteError
        if lost.done():
            reason = lost.result()
            lasting = f"what runs on the host goes on for {self.host.lease_text}, and `connect` finds it again"
            error = LinkLostError(
                reason.what,
                host=self.host.name,
                meanwhile=lasting if self.lasting else "everything on the host ends within a minute",
                remedies=remedies,
                detail=reason.detail,
            )
        else:
            lost.cancel()
            error = KeeperError(
                "the keeper on the host died, and scheduler and workers with it", host=self.host.name, remedies=remedies
            )
        await self.stop(end_everything=False, error=error)

    def _process_ended(self, name: str, code: int | None, tail: str) -> None:
        if self.stopping:
            return
        logger.warning("%s ended by itself with %s", name, code)
        self.events.append({"time": time.time(), "name": name, "code": code})
        if name not in ("scheduler", "nursery"):
            self._replacing = asyncio.create_task(self._replace_worker(name))
        else:
            error = SchedulerError(
                f"the {name} died (exit code {code})",
                host=self.host.name,
                meanwhile="everything else there is being ended",
                remedies=(Remedy(f"simmate-remote connect {self.host.name}", "starts afresh"),),
                detail=tail,
            )
            self._dying = asyncio.create_task(self.stop(end_everything=True, error=error))


def _import_cluster() -> type[HostCluster]:
    from simmate_remote.cluster.cluster import HostCluster

    return HostCluster
