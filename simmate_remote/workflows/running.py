"""Run a target in a place, show how it goes, and say what came of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from distributed import Future

from simmate_remote.workflows.desk_watch import RunDesk
from simmate_remote.workflows.failures import no_use, no_worker, scheduler_gone
from simmate_remote.workflows.outcome import RunOutcome, read_outcome
from simmate_remote.workflows.places import Place, open_place
from simmate_remote.workflows.recorded import note_end, note_outcome, submit_recorded
from simmate_remote.workflows.resources import start_at_desk
from simmate_remote.workflows.run_tasks import RunTasks
from simmate_remote.workflows.submission import prepare
from simmate_remote.workflows.target import Target
from simmate_remote.workflows.watching import Update, Watch

_SECONDS_BETWEEN_LOOKS = 1.0


def run_target(
    target: Target,
    parameters: Mapping[str, Any],
    place: Place,
    *,
    host: str | None = None,
    on_update: Callable[[Update], None] | None = None,
    tasks: RunTasks | None = None,
    patience: float | None = 120.0,
    again: str | None = None,
) -> RunOutcome:
    """Run a function in this process, on this machine's cores, or on a cluster, with the same result.

    On a cluster, and on local processes, the function's own code goes along, and so do files that are given as
    ``Path``; the function finds copies of these.

    Args:
        target: What to run.
        parameters: By name.
        place: ``"serial"``, ``"local"``, a synchronous client of any cluster, or the desk of a host.
        host: What the user calls the cluster, for messages.
        on_update: Called in this thread whenever something about the run has changed.
        tasks: Gathers meanwhile what the run's own tasks tell.
        patience: Seconds to wait while the cluster has no worker at all; ``None`` waits as long as the cluster lives.
        again: The run that it is once more; not at a desk, which does that itself.

    Returns:
        The result, or what the function raised: a function that fails does not raise here.

    Raises:
        WorkflowError: Code or files cannot be sent, or the result cannot be understood here.
        WorkersError: There is no worker, or too many died of this task.
        SchedulerError: The cluster is gone.
        ClusterError: The cluster could not take in the code, or failed in another way.
    """
    if isinstance(place, RunDesk):
        return _run_at_desk(target, parameters, place, on_update, tasks, patience)
    prepared = prepare(target, parameters, here=place == "serial")
    with open_place(place) as client:
        prepared.ship(client, host)
        watch = Watch(client, [prepared.key], {prepared.key: tasks} if tasks is not None else {})
        watch.listen(began=False)
        started = time.monotonic()
        with contextlib.closing(watch):
            where = place if isinstance(place, str) else "cluster"
            (future,), (recorded,) = submit_recorded(
                target, [parameters], lambda: [prepared.submit(client, here=place == "serial")], where, again
            )
            try:
                attempts = _wait(future, watch, prepared.key, host, on_update, patience)
                outcome = read_outcome(future, prepared.code, host, attempts, time.monotonic() - started)
                note_outcome(recorded, future, outcome)
                return outcome
            finally:
                note_end(recorded, future)
                future.release()


def _run_at_desk(
    target: Target,
    parameters: Mapping[str, Any],
    desk: RunDesk,
    on_update: Callable[[Update], None] | None,
    tasks: RunTasks | None,
    patience: float | None,
) -> RunOutcome:
    """Run it as a durable run, which is taken back only by whoever waits for it here."""
    handle = start_at_desk(target, [dict(parameters)], desk)[0]
    shown: Update | None = None
    alone_since: float | None = None
    try:
        handle.listen(tasks)
        while True:
            ended = handle.done()
            update = handle.settle() if ended else handle.progress
            if on_update is not None and update != shown:
                on_update(update)
                shown = update
            if ended:
                return handle.outcome()
            alone_since = (alone_since or time.monotonic()) if update.state == "no worker" else None
            if alone_since and patience is not None and time.monotonic() - alone_since > patience:
                handle.cancel()
                raise no_worker(desk.name, patience)
            handle.wait_for_news(_SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        # Here and not above: a host, which imports this module too, shows nothing to anybody.
        from simmate_remote.runs.shown import note_shown

        handle.cancel()
        note_shown([handle.id])
        raise


def _wait(
    future: Future,
    watch: Watch,
    key: str,
    host: str | None,
    on_update: Callable[[Update], None] | None,
    patience: float | None,
) -> int:
    """Pass on updates until the future is done, and return the number of attempts."""
    future.add_done_callback(lambda _: watch.news.set())
    shown: Update | None = None
    alone_since: float | None = None
    asked = 0.0
    while True:
        done = future.done()
        if done and future.status in {"cancelled", "lost"}:
            raise scheduler_gone(host)
        if done or time.monotonic() - asked >= _SECONDS_BETWEEN_LOOKS:
            try:
                update = watch.ask(key)
            except OSError as error:
                raise scheduler_gone(host) from error
            except Exception as error:
                raise no_use(error, host) from error
            asked = time.monotonic()
        else:
            update = watch.latest(key)
        if done:
            update = replace(update, state="finished")
        if on_update is not None and update != shown:
            on_update(update)
            shown = update
        if done:
            return update.attempt
        alone_since = (alone_since or time.monotonic()) if update.state == "no worker" else None
        if alone_since and patience is not None and time.monotonic() - alone_since > patience:
            raise no_worker(host, patience)
        watch.news.wait(_SECONDS_BETWEEN_LOOKS)
        watch.news.clear()
