"""What the journal's lines say of a run, besides the time and the run's id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from simmate_remote.keeper.host.record import boot_id
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.outcome import RunOutcome
from simmate_remote.runs.host.spec import Spec

PLAIN = 16 * 1024
"""Characters of a result as plain data that a line may have."""

PICKLED = 64 * 1024 * 4 // 3
"""Characters of a pickled result that a line may have."""

_WRITER = json.JSONEncoder(allow_nan=False)


def plain(result: Any) -> Any:
    """Give a result as plain data, if it is that, and small; otherwise None."""
    text: list[str] = []
    size = 0
    try:
        # Piece by piece: of a large one no more is written out than shows that it is too large.
        for piece in _WRITER.iterencode(result):
            size += len(piece)
            if size > PLAIN:
                return None
            text.append(piece)
    except (TypeError, ValueError, RecursionError):
        return None
    return json.loads("".join(text))


def created_line(folder: RunFolder, spec: Spec) -> dict[str, Any]:
    """Say that there is a run."""
    return {
        "workflow": spec.workflow,
        "workflow_version": spec.workflow_version,
        "parameters": spec.parameters,
        "folder": str(folder.path),
        "started_by": spec.started_by,
        "created": spec.created,
        "versions": spec.versions,
        "limit": spec.attempts,
        "restarted_from": spec.restarted_from,
    }


def ended_line(outcome: RunOutcome) -> dict[str, Any]:
    """Say how a run has ended."""
    line: dict[str, Any] = {
        "attempt": outcome.attempt,
        "seconds": outcome.seconds,
        "cpu_seconds": outcome.cpu_seconds,
        "worker": outcome.worker,
    }
    if outcome.state == "finished":
        plain = outcome.plain if len(json.dumps(outcome.plain)) <= PLAIN else None
        pickled = outcome.result if outcome.result is not None and len(outcome.result) <= PICKLED else None
        line |= {"result": plain, "result_pickle": pickled, "result_size": outcome.size}
    elif outcome.state == "failed":
        error = outcome.error or {}
        line |= {"error_type": error.get("type"), "error": error.get("text"), "traceback": error.get("traceback")}
    return line


def missed_lines(folder: RunFolder, told: int, last: int, reason: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield events of attempts that have begun and died before they could be told of, from what stands in the folder.

    Args:
        folder: The run's.
        told: The last attempt that was told of.
        last: The last one that is to be told of now; all before it have been interrupted.
        reason: What has interrupted the last one, too; empty: nothing has.
    """
    for number in range(told + 1, last + 1):
        began = folder.attempt(number)
        yield "started", {"attempt": number, **{name: began.get(name) for name in ("worker", "node", "pid")}}
        if number < last or reason:
            yield "interrupted", {"attempt": number, "reason": reason or "its worker died, or was lost"}


def ending_of(attempt: dict[str, Any]) -> str:
    """Say what ended an attempt that nobody has seen end."""
    if attempt.get("boot") not in (None, boot_id()):
        return "the machine was started again"
    return "the scheduler, or all that runs on the host, ended"
