"""The cluster in the session process: distributed's SpecCluster over processes on the host."""

from __future__ import annotations

import contextlib
from functools import partial

from distributed import Security
from distributed.deploy.spec import SpecCluster

from simmate_remote.cluster.certificates import Certificates
from simmate_remote.cluster.configuration import scheduler_configuration, worker_configuration
from simmate_remote.cluster.processes import Host, HostScheduler, HostWorker
from simmate_remote.cluster.workers import WorkerPlan


class HostCluster(SpecCluster):  # type: ignore[misc]
    """Scheduler and workers of one host.

    It starts what is not there and adopts what is: both are the same call. It is never closed by the interpreter's end,
    and closing it is not what ends the processes on the host; the session decides that, and the keeper does it.

    Args:
        host: Starts and ends processes there.
        name: The host's name.
        certificates: For mutual TLS.
        plan: What a worker is.
        workers: Names of the workers that are there already, or shall be.
        external_address: The scheduler's address as this side dials it.
        folders: ``logs``, ``runtime`` (for sockets) and ``work`` (for workers' files) on the host.
    """

    def __init__(
        self,
        *,
        host: Host,
        name: str,
        certificates: Certificates,
        plan: WorkerPlan,
        workers: list[str],
        external_address: str,
        folders: dict[str, str],
    ) -> None:
        scheduler = {
            "cls": HostScheduler,
            "options": {
                "host": host,
                "configuration": scheduler_configuration(certificates, plan, folders, host=name),
                "external_address": external_address,
            },
        }
        worker = {
            "cls": HostWorker,
            "options": {"host": host, "configure": partial(worker_configuration, certificates, plan, folders)},
        }
        self._threads = plan.threads
        super().__init__(
            workers=dict.fromkeys(workers, worker),
            scheduler=scheduler,
            worker=worker,
            asynchronous=True,
            security=Security(**certificates.client()),
            name=name,
            shutdown_on_close=False,
            shutdown_scheduler=False,
            scheduler_sync_interval="60 s",
        )

    def _new_worker_name(self, worker_number: int) -> str:
        """Name workers alike for the specification and the scheduler, so that adapting finds them."""
        return f"worker-{worker_number}"

    def _threads_per_worker(self) -> int:
        return self._threads

    async def replace(self, name: str) -> None:
        """Start a worker anew whose nanny died, unless it is not wanted any more."""
        worker = self.workers.pop(name, None)
        if worker is not None:
            await worker.close()
            await self._correct_state()

    async def leave(self) -> None:
        """Let go of everything on the host and leave it as it is."""
        with contextlib.suppress(AttributeError):
            self._adaptive.stop()
        # Not SpecCluster's close, which scales to nothing first; its parent's only ends what is here.
        await super(SpecCluster, self)._close()
