"""What becomes of a task's files when it has finished: kept, compressed, or removed."""

from __future__ import annotations

import fnmatch
import gzip
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from simmate_remote.errors import TaskDeclarationError
from simmate_remote.workflows.shell.contents import files_in


def check_patterns(task: str, **patterns: Sequence[str]) -> None:
    """Refuse patterns that could never match, or would reach out of the folder.

    Raises:
        TaskDeclarationError: With the pattern.
    """
    for what, each in patterns.items():
        if isinstance(each, str):
            raise TaskDeclarationError(f"{what} of {task} must be a list of patterns, and is the text {each!r}")
        for pattern in each:
            if not pattern or pattern.startswith("/") or ".." in Path(pattern).parts:
                raise TaskDeclarationError(f"{what} of {task} has {pattern!r}, which does not lie in the task's folder")


def tidy(folder: Path, *, keep: Sequence[str], compress: Sequence[str], remove: Sequence[str]) -> None:
    """Remove and compress files by patterns like ``*.wfc*`` or ``scratch/*``; ``*`` also matches ``/``.

    Args:
        folder: The task's folder.
        keep: What is left as it is, whatever the others say.
        compress: What becomes a ``.gz`` file.
        remove: What is removed; folders that are empty then go, too.
    """
    for name, entry in list(files_in(folder)):
        if _matches(name, keep):
            continue
        if _matches(name, remove):
            os.unlink(entry.path)
            _remove_empty(folder, Path(entry.path).parent)
        elif _matches(name, compress) and not name.endswith(".gz"):
            _compress(Path(entry.path))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern}/*") for pattern in patterns)


def _remove_empty(folder: Path, inside: Path) -> None:
    while inside != folder and not any(inside.iterdir()):
        inside.rmdir()
        inside = inside.parent


def _compress(path: Path) -> None:
    target = path.with_name(f"{path.name}.gz")
    arriving = target.with_name(f"{target.name}.arriving")
    with path.open("rb") as source, gzip.open(arriving, "wb", compresslevel=6) as compressed:
        shutil.copyfileobj(source, compressed)
    arriving.replace(target)
    path.unlink()
