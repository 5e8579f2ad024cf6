"""Runs without a host, written down while they are executed by this process, or by a cluster that it has at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from distributed import Future

from simmate_remote.runs.host.lines import plain
from simmate_remote.runs.recording import Recorded, record, recording
from simmate_remote.workflows.call import SmallAnswer, TargetError, own_traceback
from simmate_remote.workflows.current import current
from simmate_remote.workflows.specs import spec_here
from simmate_remote.workflows.target import Target
from simmate_remote.workflows.waiting import inside_a_task

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


def record_futures(
    target: Target,
    sets: Sequence[Mapping[str, Any]],
    futures: Sequence[Future],
    where: str,
    again: str | None = None,
) -> list[Recorded | None]:
    """Write down runs on a cluster that this process waits for, and how they end.

    Args:
        target: What runs.
        sets: The parameters of each, by name.
        futures: Their tasks.
        where: What people call the cluster.
        again: The run that they are once more.

    Returns:
        Their records; None instead where nothing can be written.
    """
    records = record((spec_here(target, each, again) for each in sets), where)
    for recorded, future in zip(records, futures, strict=True):
        if recorded is not None:
            future.add_done_callback(partial(note_end, recorded))
    return records


def note_end(recorded: Recorded | None, future: Future) -> None:
    """Write down how a run on a cluster has ended, unless that was done before.

    Its result is fetched for this only where it is small. Whoever is about to release the future asks for it, too:
    nobody can fetch anything then.

    Args:
        recorded: Its record, if there is one.
        future: Its task.
    """
    if recorded is None or recorded.ended:
        return
    match future.status:
        case "finished":
            answer = _small_answer(future)
            recorded.end("finished", plain=answer.plain if answer else None, printed=answer.printed if answer else "")
        case "cancelled" | "pending":  # pending: it is released before its end, and so taken back
            recorded.end("cancelled")
        case "error":
            error = future.exception()
            text, printed = (error.text, error.printed) if isinstance(error, TargetError) else ("", "")
            recorded.end("failed", error=_in_words(error, text), printed=printed)


def _small_answer(future: Future) -> SmallAnswer | None:
    if future.type is not SmallAnswer:
        return None
    try:
        answer: SmallAnswer = future.result()
    except Exception:  # noqa: BLE001 - it was released meanwhile, or the cluster is gone: it has finished all the same
        return None
    return answer


def _in_words(error: BaseException, traceback: str) -> dict[str, str]:
    name = type(error).__name__
    text = str(error)
    if isinstance(error, TargetError):
        name, _, text = traceback.strip().splitlines()[-1].partition(": ")
    return {"type": name, "text": text, "traceback": traceback, "pickled": ""}
