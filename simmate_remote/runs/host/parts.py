"""Files of a run's folder, part by part, and never a file outside of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from simmate_remote.errors import RunNotFoundError


def read_inside(folder: Path, path: str, offset: int, length: int) -> tuple[bytes, int]:
    """Read a part of a file.

    Args:
        folder: The run's.
        path: The file's, from there.
        offset: Where the part begins.
        length: Its bytes; there are fewer at the file's end.

    Returns:
        The part, and the size of the file.

    Raises:
        RunNotFoundError: There is no such file in the folder.
    """
    missing = RunNotFoundError(f"the run {folder.name} has no file {path[:200]!r}", run=folder.name, folder=str(folder))
    try:
        real = (folder / path).resolve(strict=True)
        if not real.is_relative_to(folder.resolve(strict=True)):
            raise missing
        # Not to wait for ever where it is a pipe, nor to be led elsewhere by a link that was made just now.
        fd = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError, RuntimeError) as error:
        raise missing from error
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise missing
        return os.pread(fd, max(0, length), max(0, offset)), about.st_size
    finally:
        os.close(fd)
