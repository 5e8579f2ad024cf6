"""Where a target can run without a host: in this process, or on this machine's cores."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, Scheduler, SpecCluster, Worker
from distributed.threadpoolexecutor import ThreadPoolExecutor

from simmate_remote.workflows.desk_watch import RunDesk

Place: TypeAlias = Literal["serial", "local"] | Client | RunDesk
"""``serial``: one thing at a time, in this process. ``local``: all cores of this machine. Or a client, or a desk."""

TARGET_EXECUTOR = "target"
# Dask's log repeats what an outcome says, in the middle of a progress bar.
_SILENCE = logging.CRITICAL


_HTTP = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
# Dask opens ports for its HTTP pages even where no dashboard is wanted: nothing is served there.
_NO_PAGES: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}


@contextmanager
def open_place(place: Literal["serial", "local"] | Client) -> Iterator[Client]:
    """Give a client for a place; a cluster that was started for it ends with the block."""
    if not isinstance(place, str):
        yield place
        return
    with dask.config.set(_NO_PAGES):
        cluster = _in_this_process() if place == "serial" else _on_all_cores()
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


class _WorkerInThisProcess(Worker):  # type: ignore[misc]
    async def close(self, *args: Any, **kwargs: Any) -> Any:
        """Leave a function that still runs to its thread: after Ctrl-C, nobody wants to wait for its end."""
        return await super().close(*args, **{**kwargs, "executor_wait": False})


def _in_this_process() -> SpecCluster:
    # A worker in this process, so that a function may use Dask here as anywhere. The function itself has a thread of
    # its own, or it would wait for ever for tasks that it submits; these share one other thread.
    executors = {name: ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("default", TARGET_EXECUTOR)}
    worker = {"nthreads": 2, "executor": executors, "memory_limit": 0, "protocol": "inproc://", **_HTTP}
    return SpecCluster(
        workers={0: {"cls": _WorkerInThisProcess, "options": worker}},
        scheduler={"cls": Scheduler, "options": {"protocol": "inproc://", **_HTTP}},
        silence_logs=_SILENCE,
    )


def _on_all_cores() -> LocalCluster:
    # TLS, because every user of a machine shares its loopback, and a scheduler runs whatever it is sent.
    return LocalCluster(
        n_workers=CPU_COUNT,
        threads_per_worker=1,
        security=True,
        dashboard_address=None,
        scheduler_kwargs=_HTTP,
        silence_logs=_SILENCE,
    )
