"""What scheduler and workers on the host are told: plain data, composed without an import of Dask."""

from __future__ import annotations

from typing import Any

from simmate_remote.cluster.certificates import Certificates
from simmate_remote.cluster.workers import WorkerPlan

PATIENT: dict[str, Any] = {
    # TCP_USER_TIMEOUT: it also fires on a window that stays full, which a stalled stream's does.
    "distributed.comm.timeouts.tcp": "1 day",
    "distributed.comm.timeouts.connect": "60 s",
}
"""Dask's own timeouts, raised: while a link is down its connections are only slow, and must not give up.

They have to be raised on all three sides, in scheduler, workers and the user's process, before its sockets exist.
"""

HOST_ONLY: dict[str, Any] = {
    "distributed.worker.multiprocessing-method": "forkserver",
    # Workers serve no HTTP; each would import all its pages.
    "distributed.worker.http.routes": [],
}


def dask_configuration(scratch: str) -> dict[str, Any]:
    """Give Dask's configuration for scheduler and workers, in its nested form.

    Args:
        scratch: The folder there for what is gone when the session is.
    """
    nested: dict[str, Any] = {"temporary-directory": scratch}
    for dotted, value in {**PATIENT, **HOST_ONLY}.items():
        *sections, last = dotted.split(".")
        level = nested
        for section in sections:
            level = level.setdefault(section, {})
        level[last] = value
    return nested


def scheduler_configuration(
    certificates: Certificates, plan: WorkerPlan, folders: dict[str, str], *, host: str
) -> dict[str, Any]:
    """Compose what the scheduler's process is told.

    Args:
        certificates: For mutual TLS.
        plan: What a worker is.
        folders: ``logs``, ``runtime`` (for sockets) and ``work`` (for workers' files) on the host.
        host: What its user calls the host, for messages.
    """
    return {
        "host": host,
        "resources": plan.resources,
        "security": certificates.scheduler(),
        "dashboard": f"{folders['runtime']}/dashboard",
        "log": f"{folders['logs']}/scheduler.log",
        "dask": dask_configuration(folders["work"]),
    }


def add_preload(configuration: dict[str, Any], role: str, module: str, name: str, told: dict[str, Any]) -> None:
    """Have a process of ours on the host run a module when it starts: a preload, as Dask calls it.

    Args:
        configuration: What the process is told; changed.
        role: ``scheduler`` or ``worker``.
        module: With ``dask_setup`` and ``dask_teardown``.
        name: What the module finds what it is told under, in Dask's configuration: ``simmate-remote.<name>``.
        told: What that is.
    """
    nested = configuration["dask"]
    nested.setdefault("distributed", {}).setdefault(role, {}).setdefault("preload", []).append(module)
    nested.setdefault("simmate-remote", {})[name] = told


def worker_configuration(
    certificates: Certificates, plan: WorkerPlan, folders: dict[str, str], *, name: str
) -> dict[str, Any]:
    """Compose what a nanny's process is told.

    Args:
        certificates: For mutual TLS.
        plan: What a worker is.
        folders: As for the scheduler.
        name: The worker's name.
    """
    configuration = {
        "name": name,
        "security": certificates.worker(),
        "nthreads": plan.threads,
        "memory_limit": plan.memory if plan.memory is not None else "auto",
        "resources": plan.resources,
        "local_directory": folders["work"],
        "log": f"{folders['logs']}/{name}.log",
        "dask": dask_configuration(folders["work"]),
    }
    for preload in plan.preloads:
        add_preload(configuration, "worker", *preload)
    return configuration
