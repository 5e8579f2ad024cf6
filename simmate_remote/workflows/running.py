"""Run a target in a place, show how it goes, and say what came of it."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import dask
from distributed import Future, KilledWorker
from distributed.protocol.pickle import dumps

from simmate_remote.errors import ClusterError, Remedy, SchedulerError, WorkersError, WorkflowError
from simmate_remote.workflows.bundle import Bundle, bundle
from simmate_remote.workflows.call import Answer, Call, TargetError, execute, load_answer
from simmate_remote.workflows.files import pack_files
from simmate_remote.workflows.parameters import with_defaults
from simmate_remote.workflows.places import TARGET_EXECUTOR, Place, open_place
from simmate_remote.workflows.shipping import ship
from simmate_remote.workflows.target import Target
from simmate_remote.workflows.watching import Update, Watch

_SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Args:
        result: What the function returned; ``None`` if it raised.
        error: What it raised, or a ``RuntimeError`` with its text if the exception itself could not travel.
        traceback: The whole traceback where it ran, from the user's first frame on, with the paths of own code
            as they are here; empty if nothing was raised.
        attempts: How often it was started: more than 1 if workers died while they had it.
        worker: The name of the worker that finished it.
        seconds: From the submission until the result was here.
    """

    result: Any
    error: BaseException | None
    traceback: str
    attempts: int
    worker: str
    seconds: float

    def get(self) -> Any:
        """Return the result, or raise what the function raised."""
        if self.error is not None:
            raise self.error
        return self.result


def run_target(
    target: Target,
    parameters: Mapping[str, Any],
    place: Place,
    *,
    host: str | None = None,
    on_update: Callable[[Update], None] | None = None,
    patience: float | None = 120.0,
) -> Outcome:
    """Run a function in this process, on this machine's cores, or on a cluster, with the same result.

    On a cluster, and on local processes, the function's own code goes along, and so do files that are given as
    ``Path``; the function finds copies of these.

    Args:
        target: What to run.
        parameters: By name.
        place: ``"serial"``, ``"local"``, or a synchronous client of any cluster.
        host: What the user calls the cluster, for messages.
        on_update: Called in this thread whenever something about the run has changed.
        patience: Seconds to wait while the cluster has no worker at all; ``None`` waits as long as the cluster lives.

    Returns:
        The result, or what the function raised: a function that fails does not raise here.

    Raises:
        WorkflowError: Code or files cannot be sent, or the result cannot be understood here.
        WorkersError: There is no worker, or too many died of this task.
        SchedulerError: The cluster is gone.
        ClusterError: The cluster could not take in the code, or failed in another way.
    """
    values = dict(parameters)
    defaults = {name: value for name, value in with_defaults(target, values).items() if name not in values}
    packed = pack_files(values, defaults)
    try:
        arguments = dumps(packed)
    except Exception as error:
        raise WorkflowError(
            f"a parameter of {target.name} cannot be sent: {error}", meanwhile="nothing was run"
        ) from error
    # In this process, the code is here already.
    code = None if place == "serial" else bundle(target.module)
    key = f"{target.name}-{uuid.uuid4().hex}"
    call = Call(
        topic=f"run-{key}",
        module=target.module,
        attribute=target.attribute,
        parameters=arguments,
        digest=code.digest if code else "",
        names=code.names if code else (),
    )
    with open_place(place) as client:
        if code is not None:
            ship(client, code)
        watch = Watch(client, call.topic, key)
        started = time.monotonic()
        annotations = {"executor": TARGET_EXECUTOR} if place == "serial" else {}
        with contextlib.closing(watch):
            with dask.annotate(**annotations):
                future = client.submit(execute, call, key=key, pure=False)
            try:
                attempts = _wait(future, watch, host, on_update, patience)
                return _outcome(future, code, host, attempts, time.monotonic() - started)
            finally:
                future.release()


def _wait(
    future: Future,
    watch: Watch,
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
            raise _scheduler_gone(host)
        if done or time.monotonic() - asked >= _SECONDS_BETWEEN_LOOKS:
            try:
                update = watch.ask()
            except OSError as error:
                raise _scheduler_gone(host) from error
            except Exception as error:
                raise _no_use(error, host) from error
            asked = time.monotonic()
        else:
            update = watch.latest()
        if done:
            update = replace(update, state="finished")
        if on_update is not None and update != shown:
            on_update(update)
            shown = update
        if done:
            return update.attempt
        alone_since = (alone_since or time.monotonic()) if update.state == "no worker" else None
        if alone_since and patience is not None and time.monotonic() - alone_since > patience:
            raise _no_worker(host, patience)
        watch.news.wait(_SECONDS_BETWEEN_LOOKS)
        watch.news.clear()


def _outcome(future: Future, code: Bundle | None, host: str | None, attempts: int, seconds: float) -> Outcome:
    digest = code.digest if code else ""
    try:
        answer: Answer = future.result()
    except TargetError as failure:
        text = failure.text
        if code is not None and failure.folder:
            text = code.as_known_here(text, failure.folder)
        error = _exception(failure, digest, text)
        return Outcome(None, error, text, attempts, failure.worker, seconds)
    except KilledWorker as error:
        raise _workers_killed(error, host) from error
    except Exception as error:
        raise _no_use(error, host) from error
    try:
        result = load_answer(answer.result, digest)
    except Exception as error:
        raise WorkflowError(
            f"the function has finished, and its result cannot be understood here: {type(error).__name__}: {error}",
            host=host,
            detail="Packages whose classes are in the result have to be installed here, too, in the same version.",
        ) from error
    return Outcome(result, None, "", attempts, answer.worker, seconds)


def _exception(failure: TargetError, digest: str, text: str) -> BaseException:
    """Return what the function raised, as well as it can be had on this side."""
    if failure.error:
        with contextlib.suppress(Exception):  # such as a class of a package that is not installed here
            error: BaseException = load_answer(failure.error, digest)
            return error
    return RuntimeError(text.strip().splitlines()[-1])


def _no_use(error: Exception, host: str | None) -> ClusterError:
    return ClusterError(
        f"the cluster could not run the task: {type(error).__name__}: {error}", host=host, remedies=_logs(host)
    )


def _scheduler_gone(host: str | None) -> SchedulerError:
    return SchedulerError(
        "the scheduler is gone, or it has dropped the task, before there was a result",
        host=host,
        remedies=_logs(host),
    )


def _no_worker(host: str | None, seconds: float) -> WorkersError:
    return WorkersError(
        f"the cluster has had no worker for {seconds:.0f} s, and nothing can run there",
        host=host,
        since=time.time() - seconds,
        meanwhile="the task was taken back; nothing was run",
        remedies=_logs(host),
    )


def _workers_killed(error: KilledWorker, host: str | None) -> WorkersError:
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
