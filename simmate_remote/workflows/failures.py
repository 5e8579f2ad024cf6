"""What a cluster does to a run, in words: no worker, workers that die, a scheduler that is gone."""

from __future__ import annotations

import time

from distributed import KilledWorker

from simmate_remote.errors import ClusterError, Remedy, RunCancelledError, SchedulerError, WorkersError


def no_use(error: Exception, host: str | None) -> ClusterError:
    """Say that the cluster could not run a task, for a reason that is none of the above."""
    return ClusterError(
        f"the cluster could not run the task: {type(error).__name__}: {error}", host=host, remedies=_logs(host)
    )


def scheduler_gone(host: str | None) -> SchedulerError:
    """Say that the scheduler has let go of a task before there was a result."""
    return SchedulerError(
        "the scheduler is gone, or it has dropped the task, before there was a result",
        host=host,
        remedies=_logs(host),
    )


def run_cancelled(name: str, host: str | None) -> RunCancelledError:
    """Say that a run was cancelled before it had a result."""
    return RunCancelledError(
        f"{name} was cancelled",
        host=host,
        meanwhile="programs that it ran were ended, and other runs go on",
        remedies=_logs(host),
    )


def no_worker(host: str | None, seconds: float) -> WorkersError:
    """Say that a cluster has had no worker for so many seconds."""
    return WorkersError(
        f"the cluster has had no worker for {seconds:.0f} s, and nothing can run there",
        host=host,
        since=time.time() - seconds,
        meanwhile="the task was taken back; nothing was run",
        remedies=_logs(host),
    )


def workers_killed(error: KilledWorker, host: str | None) -> WorkersError:
    """Say that a task was given up because worker after worker died of it."""
    attempts = error.allowed_failures + 1
    return WorkersError(
        f"{attempts} workers died one after the other while they ran the task, the last one being "
        f"{error.last_worker.name}: it may need more memory than there is, or crash the interpreter",
        host=host,
        meanwhile="the task was given up; the other workers go on",
        remedies=_logs(host),
    )


def _logs(host: str | None) -> tuple[Remedy, ...]:
    if host is None:
        return ()
    return (
        Remedy(f"simmate-remote logs {host}", "what scheduler and workers wrote last"),
        Remedy(f"simmate-remote status {host}", "what is there now"),
    )
