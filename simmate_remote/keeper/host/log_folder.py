"""Where a keeper's logs are: a folder for each keeper, of which the last few stay."""

from __future__ import annotations

import socket
import time
from pathlib import Path

KEPT = 5


def make_log_folder(folder: Path) -> Path:
    """Make the folder for the logs of a new keeper, named by its machine and the time, and remove the oldest ones.

    Args:
        folder: Our folder on the host.
    """
    parent = folder / "logs"
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A home folder may be shared by several machines, each with a keeper that still writes to its own.
    ours = f"{socket.gethostname()}."
    if old := sorted(path for path in parent.iterdir() if path.name.startswith(ours))[: -(KEPT - 1)]:
        import shutil

        for path in old:
            shutil.rmtree(path, ignore_errors=True)
    made = parent / time.strftime(f"{ours}%Y-%m-%dT%H-%M-%S")
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def log_file(folder: Path, name: str) -> Path:
    """Give the file for the log of a process."""
    return folder / f"{name}.log"
