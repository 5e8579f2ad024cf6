"""What came of a task, and what it tells while it is performed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

Data = TypeVar("Data")


@dataclass(frozen=True)
class Correction:
    """One correction of a task's inputs.

    Args:
        attempt: The attempt that failed before it; the first is 1.
        handler: The class of the handler.
        seen: What it saw, in its own words.
        done: What it did, in its own words.
        when: Seconds since the epoch.
        difference: The inputs before and after, as ``diff -u`` shows them.
    """

    attempt: int
    handler: str
    seen: tuple[str, ...]
    done: tuple[Any, ...]
    when: float
    difference: str = field(repr=False)


@dataclass(frozen=True)
class TaskOutcome(Generic[Data]):
    """What came of a task that succeeded.

    Args:
        data: What ``workup`` returned.
        folder: The task's folder.
        attempts: How often the program was started in this folder.
        corrections: What was mended before it succeeded.
        seconds: From the beginning of this call to its end.
        in_program: Seconds of it that the program ran.
        ran: Whether the program was started; False: the folder had the finished task already.
    """

    data: Data
    folder: Path
    attempts: int
    corrections: tuple[Correction, ...]
    seconds: float
    in_program: float
    ran: bool = True


StageName = Literal["setup", "waiting", "running", "correcting", "workup"]


@dataclass(frozen=True)
class Stage:
    """Where a task is.

    Args:
        name: ``setup``, ``waiting`` for slots, ``running``, ``correcting`` or ``workup``.
        attempt: The number of the attempt; 0 before the first.
        corrections: How many there have been.
        values: What the task itself can tell, such as an energy; see ``ShellTask.progress``.
        folder: The task's.
        corrected: What has been corrected since the last stage was told: ``handler``, ``seen`` and ``done`` of each.
    """

    name: StageName
    attempt: int = 0
    corrections: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    folder: Path = Path()
    corrected: tuple[Mapping[str, Any], ...] = ()


Tell = Callable[[Stage], None]
"""Is told each change of stage, in the thread that performs the task."""
