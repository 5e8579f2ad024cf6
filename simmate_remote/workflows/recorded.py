"""Runs without a host, written down while they are executed by this process, or by a cluster that it has at hand."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

from distributed import Client, Future

from simmate_remote.runs.host.lines import plain
from simmate_remote.runs.recording import Recorded, record, recording
from simmate_remote.workflows.call import SmallAnswer, TargetError, own_traceback
from simmate_remote.workflows.current import current
from simmate_remote.workflows.outcome import RunOutcome
from simmate_remote.workflows.specs import spec_here
from simmate_remote.workflows.target import Target
from simmate_remote.workflows.waiting import inside_a_task

logger = logging.getLogger(__name__)

R = TypeVar("R")


def run_recorded(
    target: Target,
    parameters: Mapping[str, Any],
    work: Callable[[], R],
    noted: Callable[[Recorded], None] | None = None,
) -> R:
    """Do the work of a run in this thread, and write down what comes of it, unless it is a part of another run.

    Args:
        target: What runs.
        parameters: By name.
        work: Gives the result, or raises.
        noted: Told of the record.
    """
    with recording() as own:
        recorded = None
        if own and current() is None and not inside_a_task():
            recorded = record([spec_here(target, parameters)], "serial")[0]
        if recorded is None:
            return work()
        if noted is not None:
            noted(recorded)
        try:
            result = work()
        except Exception as error:
            recorded.end("failed", error=_in_words(error, own_traceback(error)))
            raise
        except BaseException:
            recorded.end("cancelled")
            raise
        recorded.end("finished", plain=plain(result))
        return result


def submit_recorded(
    target: Target,
    sets: Sequence[Mapping[str, Any]],
    submit: Callable[[], list[Future]],
    where: str,
    again: str | None = None,
) -> tuple[list[Future], list[Recorded | None]]:
    """Submit runs to a cluster that this process waits for, and write down before what they are, and later their ends.

    Args:
        target: What runs.
        sets: The parameters of each, by name.
        submit: Submits them, and gives their tasks.
        where: What people call the cluster.
        again: The run that they are once more.

    Returns:
        Their tasks, and their records; None instead of a record where nothing can be written.
    """
    # Before, or whoever kills this process as soon as the function has begun leaves nothing that anybody knows of.
    records = record((spec_here(target, each, again) for each in sets), where)
    try:
        futures = submit()
    except BaseException as error:
        for begun in filter(None, records):
            if isinstance(error, Exception):
                begun.end("failed", error=_in_words(error, ""))
            else:
                begun.end("cancelled")
        raise
    for recorded, future in zip(records, futures, strict=True):
        if recorded is not None:
            future.add_done_callback(partial(_ends.take, recorded))
    return futures, records


def note_outcome(recorded: Recorded | None, future: Future, outcome: RunOutcome) -> None:
    """Write down how a run on a cluster has ended, for whoever has fetched what came of it.

    Args:
        recorded: Its record, if there is one.
        future: Its task.
        outcome: What came of it.
    """
    note_end(recorded, future, plain(outcome.result) if future.type is SmallAnswer else None, outcome.printed)


def note_end(recorded: Recorded | None, future: Future, result: Any = None, printed: str = "") -> None:
    """Write down how a run on a cluster has ended, unless that was done before.

    Args:
        recorded: Its record, if there is one.
        future: Its task.
        result: The result as plain data, where it is that, and small.
        printed: What it printed, as far as that is here.
    """
    if recorded is None or recorded.ended:
        return
    match future.status:
        case "finished":
            recorded.end("finished", plain=result, printed=printed)
        case "cancelled" | "pending":  # pending: it is released before its end, and so taken back
            recorded.end("cancelled")
        case "error":
            error = future.exception()
            text, printed = (error.text, error.printed) if isinstance(error, TargetError) else ("", "")
            recorded.end("failed", error=_in_words(error, text), printed=printed)


class _Ends:
    """Writes down the ends of runs, also of those whose outcomes nobody asks for.

    Small results are fetched for this, all together that have come meanwhile: each question is a round trip.
    """

    def __init__(self) -> None:
        self._come: list[tuple[Recorded, Future]] = []
        self._lock = threading.Lock()

    def take(self, recorded: Recorded, future: Future) -> None:
        """Have an end written down soon."""
        with self._lock:
            self._come.append((recorded, future))
            first = len(self._come) == 1
        if first:
            try:
                _writer(os.getpid()).submit(self._write)
            except RuntimeError:  # the interpreter ends
                self._write()

    def _write(self) -> None:
        with self._lock:
            come, self._come = self._come, []
        # Whoever has fetched an outcome has written its end down already.
        come = [(recorded, future) for recorded, future in come if not recorded.ended]
        answers = _small_answers([future for _, future in come])
        for recorded, future in come:
            answer = answers.get(future.key)
            try:
                if answer is None:
                    note_end(recorded, future)
                else:
                    note_end(recorded, future, answer.plain, answer.printed)
            except Exception:  # nobody asks what became of this, and the others shall be written down
                logger.exception("the end of the run %s is not written down", recorded.id)


_ends = _Ends()


@cache
def _writer(pid: int) -> ThreadPoolExecutor:
    """Give the thread that writes in a process: one that was forked needs its own."""
    return ThreadPoolExecutor(1, thread_name_prefix=f"ends-of-runs-{pid}")


def _small_answers(futures: Iterable[Future]) -> dict[str, SmallAnswer]:
    """Fetch small results, by the tasks' keys; those that cannot be had any more are left out."""
    wanted: dict[Client, dict[str, Future]] = {}
    for future in futures:
        if future.status == "finished" and future.type is SmallAnswer:
            wanted.setdefault(future.client, {})[future.key] = future
    found: dict[str, SmallAnswer] = {}
    for client, small in wanted.items():
        # Released meanwhile, or the cluster is gone: they have finished all the same.
        with contextlib.suppress(Exception):
            found |= {key: answer for key, answer in client.gather(small, errors="skip").items() if answer is not None}
    return found


def _in_words(error: BaseException, traceback: str) -> dict[str, str]:
    name = type(error).__name__
    text = str(error)
    if isinstance(error, TargetError):
        name, _, text = traceback.strip().splitlines()[-1].partition(": ")
    return {"type": name, "text": text, "traceback": traceback, "pickled": ""}
