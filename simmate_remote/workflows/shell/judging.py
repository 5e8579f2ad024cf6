"""Judge an attempt that no handler has corrected: by how the program ended."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

from simmate_remote.errors import (
    FolderFullError,
    ProgramFailedError,
    Remedy,
    TaskError,
    TimeLimitError,
    UncorrectableError,
)
from simmate_remote.inventory.quantities import Duration
from simmate_remote.workflows.shell.attempt import Watched
from simmate_remote.workflows.shell.declaration import Declaration

_END = 4000
_LINES = 15
_NO_SPACE = 1_000_000
"""Bytes: with less than this, a program that fails has most probably failed for want of space."""

Problem = tuple[type[TaskError], str, dict[str, Any]]


def judge(
    folder: Path, declared: Declaration, watched: Watched, attempt: dict[str, Any], without_way: str
) -> Problem | None:
    """Say what is wrong with how an attempt ended; None: nothing.

    Args:
        folder: The task's folder.
        declared: What the task declares.
        watched: How the attempt went.
        attempt: What is recorded of it.
        without_way: What handlers saw that knew no way, and did not mind.
    """
    name = attempt["command"][0]
    further: dict[str, Any] = {
        "detail": output_end(folder, declared),
        "meanwhile": f"what it wrote is in {folder}",
        "remedies": (Remedy(f"ls -l {folder}", "shows what it left"),),
    }
    if without_way:
        further["detail"] = f"{without_way}\n{further['detail']}"
    ending = watched.ending
    if watched.monitor is not None:
        return UncorrectableError, f"{watched.monitor.name} had {name} ended, and mended nothing", further
    if watched.late:
        assert declared.time_limit is not None
        limit = Duration(declared.time_limit)
        return TimeLimitError, f"{name} was ended after {limit}, its time limit", further
    if ending.code in declared.exit_codes:
        return None
    free = shutil.disk_usage(folder).free
    if ending.signal is None:
        what = f"{name} ended with exit code {ending.code}"
    else:
        what = f"{name} was ended by {_signal(ending.signal)}"
        if ending.signal == signal.SIGKILL:
            what += ", perhaps by the system for want of memory"
    if free < _NO_SPACE:
        return FolderFullError, f"{what}, and {folder} has no space left", further
    return ProgramFailedError, what, further


def output_end(folder: Path, declared: Declaration) -> str:
    """Give the last lines of what a program wrote, whatever bytes these are."""
    lines = []
    for name in dict.fromkeys((declared.stdout, declared.stderr)):
        try:
            with (folder / name).open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - _END))
                text = file.read().decode(errors="replace")
        except OSError:
            continue  # it was never made
        shown = [
            "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line) for line in text.splitlines()
        ]
        if shown:
            lines += [f"the end of {name}:", *(f"  {line}" for line in shown[-_LINES:])]
    return "\n".join(lines)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
