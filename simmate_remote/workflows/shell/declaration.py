"""What a task declares, checked as a whole before anything is done."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simmate_remote.errors import TaskDeclarationError
from simmate_remote.inventory.quantities import Duration
from simmate_remote.workflows.shell.command import check_command
from simmate_remote.workflows.shell.resources import Resources
from simmate_remote.workflows.shell.tidying import check_patterns
from simmate_remote.workflows.shipped import PREFIX

_SHIPPED = re.compile(rf"^{PREFIX}[0-9a-f]+\.")
"""On a host, a module's name tells the state of the code, too; a folder goes on with whichever is at work."""


@dataclass(frozen=True)
class Declaration:
    """What :class:`~simmate_remote.workflows.shell.task.ShellTask` declares, as it is used; see there.

    Args:
        name: The class's name.
        path: Its module and name.
        command: Its words, with fields in braces.
        time_limit: Seconds; None: no limit.
    """

    name: str
    path: str
    command: list[str]
    resources: Resources
    environment: Mapping[str, str]
    stdin: str
    stdout: str
    stderr: str
    files: Sequence[str]
    time_limit: float | None
    grace: float
    handlers: Sequence[Any]
    validators: Sequence[Any]
    max_corrections: int
    monitor_every: float
    exit_codes: Sequence[int]
    keep: Sequence[str]
    compress: Sequence[str]
    remove: Sequence[str]
    continues: bool


def declaration_of(task: Any) -> Declaration:
    """Check what a task declares.

    Raises:
        TaskDeclarationError: Something cannot be.
    """
    name = type(task).__name__
    if task.existing not in ("refuse", "continue"):
        raise TaskDeclarationError(f"existing of {name} must be 'refuse' or 'continue', and is {task.existing!r}")
    if task.max_corrections < 0:
        raise TaskDeclarationError(f"max_corrections of {name} must not be negative, and is {task.max_corrections}")
    check_patterns(name, keep=task.keep, compress=task.compress, remove=task.remove, files=task.files)
    for what in ("stdin", "stdout", "stderr"):
        check_patterns(name, **{what: [getattr(task, what) or "nothing"]})
    return Declaration(
        name=name,
        path=f"{_SHIPPED.sub('', type(task).__module__)}:{type(task).__qualname__}",
        command=check_command(task.command),
        resources=task.resources,
        environment={str(key): str(value) for key, value in task.environment.items()},
        stdin=task.stdin,
        stdout=task.stdout,
        stderr=task.stderr,
        files=task.files,
        time_limit=_seconds(name, task.time_limit),
        grace=float(task.grace),
        handlers=task.handlers,
        validators=task.validators,
        max_corrections=task.max_corrections,
        monitor_every=float(task.monitor_every),
        exit_codes=task.exit_codes,
        keep=task.keep,
        compress=task.compress,
        remove=task.remove,
        continues=task.existing == "continue",
    )


def _seconds(name: str, limit: float | str | None) -> float | None:
    if limit is None:
        return None
    try:
        seconds = Duration.parse(limit) if isinstance(limit, str) else float(limit)
    except ValueError as error:
        raise TaskDeclarationError(f"time_limit of {name} is {limit!r}: {error}") from error
    if seconds <= 0:
        raise TaskDeclarationError(f"time_limit of {name} must be more than nothing, and is {limit}")
    return seconds
