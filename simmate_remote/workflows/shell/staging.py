"""Inputs appear in a task's folder all at once: they are written in a folder beside it, and then moved."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from simmate_remote.errors import FolderNotEmptyError
from simmate_remote.workflows.shell.contents import files_in
from simmate_remote.workflows.shell.own_folder import NAME, own_folder
from simmate_remote.workflows.shell.record import Record


def stage(folder: Path, record: Record, write: Callable[[Path], None], *, ours: Collection[str] = ()) -> list[str]:
    """Write the inputs and move them into the folder; whenever that is interrupted, the record tells how far it was.

    Args:
        folder: The task's folder.
        record: Its record, in the state ``setup``; it is saved.
        write: Writes the inputs into the folder that it is given.
        ours: Inputs of an earlier attempt, which may be replaced.

    Returns:
        The inputs, by their paths in the folder.

    Raises:
        FolderNotEmptyError: A file is there that would be replaced.
    """
    place = own_folder(folder) / "setup"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)
    try:
        write(place)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    names = [name for name, _ in files_in(place)]
    links = [entry.name for entry in os.scandir(place) if entry.is_symlink()]
    kept = sorted(name for name in [*names, *links] if os.path.lexists(folder / name) and name not in ours)
    if kept or (place / NAME).exists():
        raise FolderNotEmptyError(
            f"{folder} has {', '.join(kept[:5]) or NAME} already, which setup would replace",
            folder=str(folder),
            meanwhile="nothing in it was changed",
        )
    if names or links:
        record.arriving = sorted({*names, *links} - set(ours))
        record.save(folder)
        _move(place, folder)
        record.arriving = []
    shutil.rmtree(place)
    return names


def unstage(folder: Path, record: Record) -> None:
    """Take out again what a setup that was interrupted had moved already: nothing else had these names."""
    for name in record.arriving:
        (folder / name).unlink(missing_ok=True)
    record.arriving = []


def _move(place: Path, folder: Path) -> None:
    with os.scandir(place) as entries:
        for entry in list(entries):
            target = folder / entry.name
            if entry.is_dir(follow_symlinks=False) and target.is_dir():
                _move(Path(entry.path), target)
            else:
                os.replace(entry.path, target)
