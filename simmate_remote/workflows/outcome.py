"""What came of a run."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

from distributed import Future, KilledWorker

from simmate_remote.errors import WorkflowError
from simmate_remote.workflows.bundle import Bundle
from simmate_remote.workflows.call import Answer, TargetError, load_answer
from simmate_remote.workflows.failures import no_use, workers_killed


@dataclass(frozen=True)
class RunOutcome:
    """What came of a run.

    Args:
        result: What the function returned; ``None`` if it raised.
        error: What it raised, or a ``RuntimeError`` with its text if the exception itself could not travel.
        traceback: The whole traceback where it ran, from the user's first frame on, with the paths of own code
            as they are here; empty if nothing was raised.
        attempts: How often it was started: more than 1 if workers died while they had it.
        worker: The name of the worker that finished it.
        seconds: From the submission until the result was here.
        printed: The end of what it printed, unless that was in this process.
        run: The run's id, if it was one at a host's desk.
    """

    result: Any
    error: BaseException | None
    traceback: str
    attempts: int
    worker: str
    seconds: float
    printed: str = field(repr=False, default="")
    run: str = ""

    def get(self) -> Any:
        """Return the result, or raise what the function raised."""
        if self.error is not None:
            raise self.error
        return self.result


def read_outcome(future: Future, code: Bundle | None, host: str | None, attempts: int, seconds: float) -> RunOutcome:
    """Take what a finished task came to.

    Args:
        future: The task's; it is done.
        code: The own code that it ran with.
        host: What the user calls the cluster, for messages.
        attempts: How often it was started.
        seconds: How long it took.

    Raises:
        WorkflowError: The result cannot be understood here.
        WorkersError: Too many workers died of it.
        ClusterError: The cluster failed in another way.
    """
    digest = code.digest if code else ""
    try:
        answer: Answer = future.result()
    except TargetError as failure:
        text = failure.text
        if code is not None and failure.folder:
            text = code.as_known_here(text, failure.folder)
        error = _exception(failure, digest, text)
        return RunOutcome(None, error, text, attempts, failure.worker, seconds, failure.printed)
    except KilledWorker as error:
        raise workers_killed(error, host) from error
    except Exception as error:
        raise no_use(error, host) from error
    try:
        result = load_answer(answer.result, digest)
    except Exception as error:
        raise WorkflowError(
            f"the function has finished, and its result cannot be understood here: {type(error).__name__}: {error}",
            host=host,
            detail="Packages whose classes are in the result have to be installed here, too, in the same version.",
        ) from error
    return RunOutcome(result, None, "", attempts, answer.worker, seconds, answer.printed)


def _exception(failure: TargetError, digest: str, text: str) -> BaseException:
    """Return what the function raised, as well as it can be had on this side."""
    if failure.error:
        with contextlib.suppress(Exception):  # such as a class of a package that is not installed here
            error: BaseException = load_answer(failure.error, digest)
            return error
    return RuntimeError(text.strip().splitlines()[-1])
