"""The scheduler and the nanny, as they run on the host: loopback, mutual TLS, no HTTP on TCP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed import Nanny, Security
from distributed.comm import Comm
from distributed.scheduler import WorkerStatusPlugin

from simmate_remote.cluster.host.child import redirect_output
from simmate_remote.cluster.host.dashboard import QuietWorker, attach_dashboard, serve_pages
from simmate_remote.cluster.host.leisure import leisure
from simmate_remote.cluster.host.scatter import ScatteringScheduler
from simmate_remote.cluster.host.unfinished import TellUnfinished
from simmate_remote.cluster.host.unsatisfiable import RefuseUnsatisfiable
from simmate_remote.keeper.host.appearance import show_name

LOOPBACK = "127.0.0.1"
NOT_KNOWN_YET = f"tls://{LOOPBACK}:0"


async def start_scheduler(
    configuration: dict[str, Any], tell: Callable[..., bool]
) -> tuple[WatchedScheduler, dict[str, Any]]:
    """Start the scheduler.

    Args:
        configuration: ``host`` (what its user calls the host), ``security`` (arguments of ``distributed.Security``),
            ``dashboard`` (path of a Unix socket), ``resources`` (of each worker, name → amount).
        tell: Told of unfinished work, see :class:`simmate_remote.cluster.host.unfinished.TellUnfinished`.
    """
    security = Security(**configuration["security"])
    called = configuration["host"]
    scheduler = WatchedScheduler(host=LOOPBACK, port=0, protocol="tls", security=security, called=called)
    await scheduler
    await serve_pages(scheduler, Path(configuration["dashboard"]))
    scheduler.add_plugin(RefuseUnsatisfiable(scheduler, configuration["resources"], called))
    scheduler.add_plugin(TellUnfinished(tell))
    scheduler.dashboard_task = asyncio.create_task(_attach_dashboard_later(scheduler))
    return scheduler, {"address": scheduler.address, "dashboard": configuration["dashboard"]}


class WatchedScheduler(ScatteringScheduler):
    """A scheduler that tells every observer which workers come and go: the session's cluster, and each view of it.

    Dask's own has room for one, since all observers' plugins have the same name, and each replaces the one before.
    """

    def subscribe_worker_status(self, comm: Comm) -> dict[str, Any]:
        name = f"{WorkerStatusPlugin.name}-{uuid.uuid4().hex}"
        one_of_many = type("OneOfManyWorkerStatusPlugins", (WorkerStatusPlugin,), {"name": name})
        one_of_many(self, comm)
        identity: dict[str, Any] = self.identity()
        for worker in identity["workers"].values():
            del worker["metrics"], worker["last_seen"]
        return identity


async def _attach_dashboard_later(scheduler: WatchedScheduler) -> None:
    """Load the dashboard when it delays nobody: its import takes half a second, just when a first task waits."""
    await leisure(scheduler)
    await attach_dashboard(scheduler)


class LoggingWorker(QuietWorker):
    """A worker whose output, and that of its tasks, goes to its own log; it stands in the user's home.

    Args:
        log: Path of the log.
    """

    def __init__(self, *args: Any, log: str, **kwargs: Any) -> None:
        redirect_output(log)
        # Where `ssh HOST python` would begin, too; our own processes stand in /, where nobody can write.
        with contextlib.suppress(OSError):
            os.chdir(Path.home())
        super().__init__(*args, **kwargs)
        show_name(self.name)


class EarlyNanny(Nanny):  # type: ignore[misc]
    """A nanny that is made before it is known where its scheduler is, since that takes as long as a scheduler does."""

    def belong_to(self, scheduler: str) -> None:
        """Tell it, before it is started.

        Args:
            scheduler: Address of the scheduler.
        """
        self.scheduler_addr = scheduler
        self.scheduler = self.rpc(scheduler)


async def start_worker(configuration: dict[str, Any], scheduler: Callable[[], str]) -> tuple[Nanny, dict[str, Any]]:
    """Start a nanny and its worker.

    Args:
        configuration: ``security``, ``name``, ``nthreads``, ``memory_limit`` (bytes or
            ``auto``), ``resources`` (name → amount), ``local_directory``, ``log``.
        scheduler: Waits until its address is known, and gives it.
    """
    security = Security(**configuration["security"])
    nanny = EarlyNanny(
        NOT_KNOWN_YET,
        host=LOOPBACK,
        protocol="tls",
        security=security,
        worker_class=LoggingWorker,
        log=configuration["log"],
        dashboard=False,
        **{name: configuration[name] for name in ("name", "nthreads", "memory_limit", "resources", "local_directory")},
    )
    nanny.belong_to(scheduler())
    await nanny
    return nanny, {"address": nanny.worker_address, "nanny": nanny.address}
