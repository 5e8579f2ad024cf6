"""What a folder means for a task that shall be performed in it: new, to be continued, finished, or not its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from simmate_remote.errors import FolderNotEmptyError, TaskError
from simmate_remote.workflows.current import current
from simmate_remote.workflows.shell.declaration import Declaration
from simmate_remote.workflows.shell.own_folder import own_folder
from simmate_remote.workflows.shell.programs import FULL
from simmate_remote.workflows.shell.record import Record

Entry = Literal["new", "continued", "changed", "finished"]


def make_folder(wanted: Path | str | None, task: str, fits: Callable[[Path], bool]) -> Path:
    """Make a task's folder; of a run that has a folder, it is below that.

    Args:
        wanted: Where; None: a new one, or of a run that is begun again, the one that it had before.
        task: The task's name.
        fits: Says whether a folder is a new one, or of this task with these parameters.

    Raises:
        TaskError: It cannot be made.
        OSError: The disk is full.
    """
    run = current()
    if wanted is None:
        folder = Path(f"{task.lower()}-{secrets.token_hex(4)}")
        if run is not None and run.home is not None:
            folder = run.take_folder(task.lower(), fits)
    else:
        folder = Path(wanted).expanduser()
    folder = Path(os.path.abspath(run.folder / folder if run is not None else folder))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise TaskError(f"{folder} cannot be the task's folder: {error.strerror}", folder=str(folder)) from error
    return folder


def refuse_foreign(folder: Path, declaration: Declaration) -> None:
    """Refuse a folder that has content and is no task's, unless the task goes on with what is there.

    Raises:
        FolderNotEmptyError: It has content.
    """
    if declaration.continues or own_folder(folder).exists():
        return
    with os.scandir(folder) as entries:
        found = sorted(entry.name for entry in entries)
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise FolderNotEmptyError(
            f"{folder} is not empty: it has {', '.join(found[:3])}{more}",
            folder=str(folder),
            meanwhile="nothing in it was changed",
            detail='A task that declares existing = "continue" goes on with what is there.',
        )


def enter(folder: Path, record: Record | None, declaration: Declaration, digests: dict[str, str]) -> Entry:
    """Say what a folder means.

    Args:
        folder: The task's folder, which is locked.
        record: What is told of earlier attempts.
        declaration: What the task declares.
        digests: Of its parameters.

    Raises:
        FolderNotEmptyError: What is there is of another task, or of other parameters and not to be continued.
    """
    if record is None:
        return "new"
    if record.task != declaration.path:
        raise FolderNotEmptyError(
            f"{folder} belongs to another task, {record.task}",
            folder=str(folder),
            meanwhile="nothing in it was changed",
        )
    if record.parameters == digests:
        return "finished" if record.state == "finished" else "continued"
    names = record.parameters.keys() | digests.keys()
    different = sorted(name for name in names if record.parameters.get(name) != digests.get(name))
    if not declaration.continues:
        raise FolderNotEmptyError(
            f"{folder} has been worked in with another value of {', '.join(different)}",
            folder=str(folder),
            meanwhile="nothing in it was changed",
            detail='A task that declares existing = "continue" goes on from there with the new value.',
        )
    return "changed"
