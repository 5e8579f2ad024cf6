"""Write a file for its owner alone: whole, or not at all."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path

from simmate_remote.errors import InventoryError, Remedy


def write_private(path: Path, text: str, *, overwrite: bool) -> None:
    """Write a file with mode 0600, in folders that are made with mode 0700.

    Raises:
        FileExistsError: It is there, and ``overwrite`` is false.
        InventoryError: It cannot be written.
    """
    try:
        _make_folder(path.parent)
        # mkstemp makes files that their owner alone can read.
        handle, name = tempfile.mkstemp(prefix=".", suffix=".new", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if overwrite:
                temporary.replace(path)
            else:
                path.hardlink_to(temporary)  # unlike a rename, it fails where something is already
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(path):
            raise
        raise InventoryError(
            f"{path} cannot be written: {error.strerror}",
            meanwhile="nothing was changed",
            remedies=(Remedy(f"ls -ld {shlex.quote(str(_there(path.parent)))}", "shows whose folder it is"),),
        ) from error


def _there(folder: Path) -> Path:
    return next((each for each in (folder, *folder.parents) if os.path.lexists(each)), folder)


def _make_folder(folder: Path) -> None:
    # Path.mkdir(parents=True) would give the parents the usual mode.
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
