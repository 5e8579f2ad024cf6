"""What is kept of earlier attempts: the inputs that the last one began with, and the files that each one left."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from simmate_remote.workflows.shell.contents import files_in
from simmate_remote.workflows.shell.own_folder import own_folder, write_whole

INPUT_LIMIT = 16_000_000
"""Bytes of an input up to which a copy is kept for a restart; larger ones must be there still."""

FILE_LIMIT = 32_000_000
"""Bytes of a file up to which it is kept with its attempt; a choice: wave functions are not worth their space."""


def save_inputs(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Copy the inputs of an attempt that is about to begin.

    Returns:
        The digest of each input; empty for one that is not copied.
    """
    place = own_folder(folder) / "inputs"
    arriving = place.with_name("inputs.arriving")
    shutil.rmtree(arriving, ignore_errors=True)
    digests = {}
    for name in sorted(names):
        source = folder / name
        if source.is_symlink() or not source.is_file():
            continue
        if source.stat().st_size > INPUT_LIMIT:
            digests[name] = ""
            continue
        data = source.read_bytes()
        digests[name] = hashlib.sha256(data).hexdigest()
        copy = arriving / name
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            # A restart after a loss of power depends on it.
            os.fsync(fd)
    if place.exists():
        shutil.rmtree(place)
    if digests and arriving.exists():
        arriving.rename(place)
    return digests


def restore_inputs(folder: Path, digests: dict[str, str]) -> bool:
    """Put the inputs back as the last attempt began with them; say whether all could be had.

    Args:
        folder: The task's folder.
        digests: What :func:`save_inputs` gave.
    """
    place = own_folder(folder) / "inputs"
    restored = {}
    for name, digest in digests.items():
        if not digest:
            if not (folder / name).is_file():
                return False
            continue
        try:
            restored[name] = (place / name).read_bytes()
        except OSError:
            return False
        if hashlib.sha256(restored[name]).hexdigest() != digest:
            return False
    for name, data in restored.items():
        target = folder / name
        if target.is_file() and target.read_bytes() == data:
            continue
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        arriving = target.with_name(f"{target.name}.arriving")
        arriving.write_bytes(data)
        arriving.replace(target)
    return True


def forget_inputs(folder: Path) -> None:
    """Remove the copies: the task needs no restart any more."""
    shutil.rmtree(own_folder(folder) / "inputs", ignore_errors=True)


def attempt_folder(folder: Path, number: int) -> Path:
    """Give the folder with what is kept of an attempt."""
    return own_folder(folder) / "attempts" / str(number)


def save_attempt(folder: Path, number: int) -> list[str]:
    """Keep what an attempt has left, before anything is changed for the next one.

    Files are compressed. What has not changed since the attempt before is the same file in both folders. A hard link
    to the file itself would not do: most programs write into the file that is there.

    Returns:
        The files that are too large to be kept.
    """
    place, before = attempt_folder(folder, number), attempt_folder(folder, number - 1)
    known = _manifest(before)
    arriving = place.with_name(f"{number}.arriving")
    for left in (arriving, place):
        shutil.rmtree(left, ignore_errors=True)
    arriving.mkdir(mode=0o700, parents=True)
    manifest: dict[str, Any] = {}
    left_out = []
    for name, entry in files_in(folder):
        about = entry.stat(follow_symlinks=False)
        if about.st_size > FILE_LIMIT:
            left_out.append(name)
            continue
        signature = [about.st_ino, about.st_size, about.st_mtime_ns]
        target = arriving / f"{name}.gz"
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        manifest[name] = signature
        if known.get(name) == signature and (before / f"{name}.gz").is_file():
            os.link(before / f"{name}.gz", target)
            continue
        with open(entry.path, "rb") as source, gzip.open(target, "wb", compresslevel=1) as kept:
            shutil.copyfileobj(source, kept)
    write_whole(arriving / "files.json", manifest)
    arriving.rename(place)
    return sorted(left_out)


def _manifest(place: Path) -> dict[str, Any]:
    try:
        found = json.loads((place / "files.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
