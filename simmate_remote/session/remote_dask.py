"""Scheduler and workers on the host, and the ways to them from here: what a session is for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from simmate_remote.errors import SchedulerError, SimmateRemoteError
from simmate_remote.session.database import LentDatabase
from simmate_remote.session.remote_host import DESK, RemoteHost
from simmate_remote.streams.clock import elapsed
from simmate_remote.streams.forward import forward_port, port_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from simmate_remote.cluster.certificates import Certificates
    from simmate_remote.cluster.cluster import HostCluster
    from simmate_remote.cluster.workers import WorkerPlan
    from simmate_remote.session.dashboard_gate import DashboardGate

logger = logging.getLogger(__name__)

MAX_REPLACEMENTS = 3
LOOK_TIMEOUT = 5.0
LATE_END = 5.0
"""Seconds between the end of a connection on the host and the one here, unless the session ends before.

Where the scheduler died, its reason is told first, on however busy a machine, and then the session ends.
"""


class RemoteDask:
    """Dask on one host.

    Args:
        remote: The host.
        failed: Called if Dask's cluster cannot be had after all, with the reason.

    Attributes:
        address: The scheduler's, on this machine.
        address_there: The same, on the host.
        gate: Serves its dashboard here.
        plan: What a worker is.
        certificates: For mutual TLS.
        deaths: Processes that ended by themselves.
        database: The database, for the workers there.
    """

    def __init__(self, remote: RemoteHost, failed: Callable[[SimmateRemoteError], None]) -> None:
        self.address = ""
        self.address_there = ""
        self.gate: DashboardGate | None = None
        self.plan: WorkerPlan | None = None
        self.certificates: Certificates | None = None
        self.deaths: list[dict[str, Any]] = []
        self.database = LentDatabase(remote.host.name, remote.conversation, remote.lendings, remote.host.lease)
        self._moments: dict[str, deque[float]] = {}
        self._remote = remote
        self._failed = failed
        self._ports: asyncio.Server | None = None
        self._workers: list[str] = []
        self._folders: dict[str, str] = {}
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._beginning: asyncio.Task[None] | None = None
        self._cluster: asyncio.Task[HostCluster] | None = None

    @property
    def most_workers(self) -> int:
        """As many workers as have a core for each of their threads."""
        assert self.plan is not None
        return max(1, int(self._remote.about["cores"]) // self.plan.threads)

    async def begun(self) -> None:
        """Wait until the workers are there that were wanted at first."""
        await asyncio.shield(self._begun)

    async def cluster(self) -> HostCluster:
        """Give Dask's cluster over what runs there: to scale it, to adapt it, to replace what died.

        It is made when it is first asked for. Its import costs half a second and 40 MB, just when a first task waits,
        and most sessions never need it.
        """
        if self._cluster is None:
            self._cluster = asyncio.create_task(self._adopt())
        return await asyncio.shield(self._cluster)

    async def start(self) -> None:
        """Start scheduler and workers, or find them, and open the ways to them from here."""
        from simmate_remote.cluster.certificates import Certificates, make_certificates
        from simmate_remote.cluster.configuration import add_preload, scheduler_configuration, worker_configuration
        from simmate_remote.cluster.workers import plan_workers
        from simmate_remote.session.dashboard_gate import DashboardGate

        remote, about = self._remote, self._remote.about
        plan = plan_workers(remote.host.workers, about["cores"])
        self.plan = replace(plan, preloads=(self.database.preload(about["runtime"]),))
        children = await remote.children()
        noted = about["notes"].get("certificates")
        self.certificates = Certificates(*noted) if noted and children else make_certificates()
        living = [child["name"] for child in children if child["name"] != "scheduler"]
        self._workers = living or [f"worker-{number}" for number in range(self.plan.count)]
        self._folders = {"logs": about["logs"], "runtime": about["runtime"], "work": f"{about['runtime']}/work"}
        desk = {"folder": f"{about['folder']}/runs", "socket": f"{about['runtime']}/desk"}
        configuration = scheduler_configuration(self.certificates, self.plan, self._folders, host=remote.host.name)
        add_preload(configuration, "scheduler", "simmate_remote.runs.host.preload", "desk", desk)
        configure = partial(worker_configuration, self.certificates, self.plan, self._folders)
        starting = [asyncio.create_task(remote.start_child("scheduler", "scheduler", configuration))]
        try:
            # Calls that need no other's answer go together: over a long way each would take a round trip of its own.
            await asyncio.gather(
                remote.keeper.call("note", name="certificates", value=list(self.certificates)),
                self.database.give(remote.keeper),
            )
            starting += [
                asyncio.create_task(remote.start_child(name, "worker", configure(name=name))) for name in self._workers
            ]
            scheduler = await starting[0]
        except BaseException:
            for start in starting:
                start.cancel()
            await asyncio.wait(starting)
            raise
        if self.database.problem is not None:
            remote.warnings.append(f"workers have no database: {self.database.problem}")
        self.address_there = scheduler["address"]
        self._beginning = asyncio.create_task(self._begin(starting[1:]))
        port = int(self.address_there.rpartition(":")[2])
        await asyncio.gather(
            remote.keeper.call("offer", target="scheduler", place={"port": port}),
            remote.keeper.call("offer", target="dashboard", place={"path": scheduler["dashboard"]}),
            remote.keeper.call("offer", target=DESK, place={"path": desk["socket"]}),
        )
        self._ports = await forward_port(remote.conversation, "scheduler", late_end=LATE_END)
        self.address = f"tls://127.0.0.1:{port_of(self._ports)}"
        self.gate = DashboardGate(remote.host.name, lambda: remote.conversation.open_reader_writer("dashboard"))
        await self.gate.start()

    async def _begin(self, starts: list[asyncio.Task[dict[str, Any]]]) -> None:
        """Wait for the first workers; clients need not."""
        outcomes = await asyncio.gather(*starts, return_exceptions=True)
        try:
            if any(isinstance(outcome, BaseException) for outcome in outcomes):
                # The cluster tries again what failed, and tells the reason.
                await self.cluster()
        except SimmateRemoteError as reason:
            self._failed(reason)
        finally:
            self._begun.set_result(None)

    async def _adopt(self) -> HostCluster:
        """Make Dask's cluster, which takes over what lives and starts what does not."""
        assert self.plan is not None
        assert self.certificates is not None
        cluster_class = await asyncio.to_thread(_import_cluster)
        from simmate_remote.cluster.timeouts import raise_timeouts

        raise_timeouts()
        cluster = cluster_class(
            host=self._remote,
            name=self._remote.host.name,
            certificates=self.certificates,
            plan=self.plan,
            workers=self._workers,
            external_address=self.address,
            folders=self._folders,
        )
        try:
            await cluster
        except Exception as error:
            logger.exception("the cluster could not be started")
            reason = error if isinstance(error, SimmateRemoteError) else error.__cause__
            if not isinstance(reason, SimmateRemoteError):
                reason = SchedulerError(f"the cluster did not start: {error}", host=self._remote.host.name)
            raise reason from error
        return cluster

    async def look(self) -> dict[str, Any] | None:
        """Ask the scheduler which workers it has and how many tasks; None if it does not answer soon."""
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                identity, counts = await asyncio.gather(self._page("identity"), self._page("counts"))
                workers = [
                    {"name": each["id"], "threads": each["nthreads"], "memory": each["memory_limit"]}
                    for each in identity["workers"].values()
                ]
                tasks = {name: int(counts[name]) for name in ("tasks", "processing", "memory", "erred", "waiting")}
        except (TimeoutError, OSError, ValueError, KeyError, TypeError):
            return None
        return {"workers": workers, "tasks": tasks}

    async def _page(self, name: str) -> Any:
        reader, writer = await self._remote.conversation.open_reader_writer("dashboard")
        try:
            writer.write(f"GET /json/{name}.json HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            answer = await reader.read()
        finally:
            writer.close()
        return json.loads(answer.partition(b"\r\n\r\n")[2])

    def note_death(self, name: str, code: int | None) -> None:
        """Take note of a process that ended by itself, and start a worker anew."""
        self.deaths.append({"time": time.time(), "name": name, "code": code})
        self._moments.setdefault(name, deque(maxlen=MAX_REPLACEMENTS + 1)).append(elapsed())
        if name not in ("scheduler", "nursery"):
            self._replacing = asyncio.create_task(self._replace_worker(name))

    async def _replace_worker(self, name: str) -> None:
        recent = sum(1 for moment in self._moments[name] if moment > elapsed() - 60)
        if recent > MAX_REPLACEMENTS:
            logger.warning("%s died %d times within a minute and is not started again", name, recent)
            return
        try:
            if self._cluster is None:
                # What is not there when the cluster is made, it starts.
                await self.cluster()
            else:
                await (await self.cluster()).replace(name)
        except SimmateRemoteError as error:
            logger.warning("%s could not be started again: %s", name, error)

    async def close_ways(self) -> None:
        """Let nobody in any more; connections that are there stay."""
        if self._ports is not None:
            self._ports.close()
        if self.gate is not None:
            await self.gate.close()
        self.database.close()

    async def leave(self) -> None:
        """Let go of everything on the host and leave it as it is."""
        if self._beginning is not None:
            self._beginning.cancel()
        if self._cluster is None:
            return
        if self._cluster.done() and not self._cluster.cancelled() and self._cluster.exception() is None:
            with contextlib.suppress(Exception):  # its scheduler may be gone already, in any way
                await asyncio.wait_for(self._cluster.result().leave(), 5)
        else:
            self._cluster.cancel()
            await asyncio.wait({self._cluster})


def import_for_start() -> None:
    """Import what :meth:`RemoteDask.start` needs, ahead of it: in a thread, while the host is awaited."""
    import simmate_remote.cluster.certificates
    import simmate_remote.cluster.configuration
    import simmate_remote.session.dashboard_gate  # noqa: F401


def _import_cluster() -> type[HostCluster]:
    from simmate_remote.cluster.cluster import HostCluster

    return HostCluster
