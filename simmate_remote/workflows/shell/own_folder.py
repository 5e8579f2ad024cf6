"""The folder of a task's own in its folder: where its record, its lock and the states of attempts are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

NAME = ".simmate-remote"


def own_folder(folder: Path) -> Path:
    """Give the path of our folder in a task's folder."""
    return folder / NAME


def write_whole(path: Path, content: dict[str, Any], *, last: bool = False) -> None:
    """Write a file at once or not at all.

    Args:
        path: Where.
        content: Plain data.
        last: Whether it is to be read by people, and must outlive a loss of power from now on.
    """
    arriving = path.with_name(f"{path.name}.arriving")
    fd = os.open(arriving, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        # Some handlers put their own objects into what they tell.
        file.write(json.dumps(content, indent=1 if last else None, default=str))
        if last:
            file.flush()
            os.fsync(fd)
    arriving.replace(path)
