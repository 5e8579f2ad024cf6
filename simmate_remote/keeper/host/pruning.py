"""Remove from our folder on the host what nothing of ours uses any more: old packages, files of machines long gone."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from simmate_remote.keeper.host.record import fresh_records, keepers_folder, record_path

UNUSED_PACKAGE = 86_400.0
"""Seconds since the last login that used a package, after which it is removed; each login touches the one it uses."""

UNUSED_MACHINE = 30 * 86_400.0
"""Seconds without any change after which the files of another machine are removed."""


def prune(folder: Path, package: str) -> None:
    """Remove old packages, and what is left of machines that have not been seen for a month.

    Args:
        folder: Our folder.
        package: The package that is in use.
    """
    used = {package, *(record.package for record in fresh_records(folder))}
    for path in _old(folder / "packages", UNUSED_PACKAGE):
        if path.name not in used:
            shutil.rmtree(path, ignore_errors=True)
    own = record_path(folder).stem
    for path in _old(keepers_folder(folder), UNUSED_MACHINE):
        if path.stem != own:
            path.unlink(missing_ok=True)
    for path in _old(folder / "logs", UNUSED_MACHINE):
        if not path.name.startswith(f"{own}."):
            shutil.rmtree(path, ignore_errors=True)


def _old(folder: Path, seconds: float) -> Iterable[Path]:
    limit = time.time() - seconds
    old = []
    for path in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # another machine that shares this home was quicker
            if path.lstat().st_mtime < limit:
                old.append(path)
    return old
