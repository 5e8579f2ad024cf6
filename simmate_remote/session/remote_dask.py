"""Scheduler and workers on the host, and the ways to them from here: what a session is for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from simmate_remote.errors import SchedulerError, SimmateRemoteError
from simmate_remote.session.remote_host import RemoteHost
from simmate_remote.streams.forward import forward_port, port_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from simmate_remote.cluster.certificates import Certificates
    from simmate_remote.cluster.cluster import HostCluster
    from simmate_remote.cluster.workers import WorkerPlan
    from simmate_remote.session.dashboard_gate import DashboardGate

logger = logging.getLogger(__name__)

MAX_REPLACEMENTS = 3
LATE_END = 0.5
"""Seconds between the end of a connection on the host and the one here: its reason is told first."""


class RemoteDask:
    """Dask on one host.

    Args:
        remote: The host.
        failed: Called if Dask's cluster cannot be had after all, with the reason.

    Attributes:
        address: The scheduler's, on this machine.
        gate: Serves its dashboard here.
        plan: What a worker is.
        certificates: For mutual TLS.
        deaths: Processes that ended by themselves.
    """

    def __init__(self, remote: RemoteHost, failed: Callable[[SimmateRemoteError], None]) -> None:
        self.address = ""
        self.gate: DashboardGate | None = None
        self.plan: WorkerPlan | None = None
        self.certificates: Certificates | None = None
        self.deaths: list[dict[str, Any]] = []
        self._remote = remote
        self._failed = failed
        self._ports: asyncio.Server | None = None
        self._cluster: asyncio.Future[HostCluster] = asyncio.get_running_loop().create_future()

    @property
    def most_workers(self) -> int:
        """As many workers as have a core for each of their threads."""
        assert self.plan is not None
        return max(1, int(self._remote.about["cores"]) // self.plan.threads)

    async def cluster(self) -> HostCluster:
        """Give the cluster, as soon as it is there."""
        return await asyncio.shield(self._cluster)

    async def start(self) -> None:
        """Start scheduler and workers, or find them, and open the ways to them from here.

        The host imports distributed for half a second, and so does this process meanwhile.
        """
        from simmate_remote.cluster.certificates import Certificates, make_certificates
        from simmate_remote.cluster.configuration import scheduler_configuration, worker_configuration
        from simmate_remote.cluster.workers import plan_workers
        from simmate_remote.session.dashboard_gate import DashboardGate

        remote, about = self._remote, self._remote.about
        self.plan = plan_workers(remote.host.workers, about["cores"])
        children = await remote.children()
        noted = about["notes"].get("certificates")
        self.certificates = Certificates(*noted) if noted and children else make_certificates()
        await remote.keeper.call("note", name="certificates", value=list(self.certificates))
        living = [child["name"] for child in children if child["name"] != "scheduler"]
        workers = living or [f"worker-{number}" for number in range(self.plan.count)]
        folders = {"logs": about["logs"], "runtime": about["runtime"], "work": f"{about['runtime']}/work"}
        importing = asyncio.create_task(asyncio.to_thread(_import_cluster))
        configuration = scheduler_configuration(self.certificates, self.plan, folders)
        scheduler = await remote.start_child("scheduler", "scheduler", configuration)
        configure = partial(worker_configuration, self.certificates, self.plan, folders, scheduler=scheduler["address"])
        early = [asyncio.create_task(remote.start_child(name, "worker", configure(name=name))) for name in workers]
        port = int(scheduler["address"].rpartition(":")[2])
        await remote.keeper.call("offer", target="scheduler", place={"port": port})
        await remote.keeper.call("offer", target="dashboard", place={"path": scheduler["dashboard"]})
        self._ports = await forward_port(remote.conversation, "scheduler", late_end=LATE_END)
        self.address = f"tls://127.0.0.1:{port_of(self._ports)}"
        self.gate = DashboardGate(remote.host.name, lambda: remote.conversation.open_reader_writer("dashboard"))
        await self.gate.start()
        self._adopting = asyncio.create_task(self._adopt(importing, early, workers, folders))

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
        cluster = cluster_class(
            host=self._remote,
            name=self._remote.host.name,
            certificates=self.certificates,
            plan=self.plan,
            workers=workers,
            external_address=self.address,
            folders=folders,
        )
        try:
            await cluster
        except Exception as error:
            logger.exception("the cluster could not be started")
            reason = error if isinstance(error, SimmateRemoteError) else error.__cause__
            if not isinstance(reason, SimmateRemoteError):
                reason = SchedulerError(f"the cluster did not start: {error}", host=self._remote.host.name)
            self._cluster.set_exception(reason)
            # The exception is told by the session's end, whether or not anybody waits for the cluster.
            self._cluster.exception()
            self._failed(reason)
        else:
            self._cluster.set_result(cluster)

    def note_death(self, name: str, code: int | None) -> None:
        """Take note of a process that ended by itself, and start a worker anew."""
        self.deaths.append({"time": time.time(), "name": name, "code": code})
        if name not in ("scheduler", "nursery"):
            self._replacing = asyncio.create_task(self._replace_worker(name))

    async def _replace_worker(self, name: str) -> None:
        recent = [each for each in self.deaths if each["name"] == name and each["time"] > time.time() - 60]
        if len(recent) > MAX_REPLACEMENTS:
            logger.warning("%s died %d times within a minute and is not started again", name, len(recent))
            return
        try:
            await (await self.cluster()).replace(name)
        except SimmateRemoteError as error:
            logger.warning("%s could not be started again: %s", name, error)

    async def close_ways(self) -> None:
        """Let nobody in any more; connections that are there stay."""
        if self._ports is not None:
            self._ports.close()
        if self.gate is not None:
            await self.gate.close()

    async def leave(self) -> None:
        """Let go of everything on the host and leave it as it is."""
        if self._cluster.done() and not self._cluster.cancelled() and self._cluster.exception() is None:
            with contextlib.suppress(Exception):  # its scheduler may be gone already, in any way
                await asyncio.wait_for(self._cluster.result().leave(), 5)
        else:
            self._cluster.cancel()


def _import_cluster() -> type[HostCluster]:
    from simmate_remote.cluster.cluster import HostCluster

    return HostCluster
