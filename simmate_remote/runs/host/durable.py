"""Files that outlive a loss of power: complete under their name, or not there at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_AT_ONCE = 16
"""Files that are written to the disk at once: a disk confirms many in hardly more time than one."""


def write_once(path: Path, data: bytes, *, sync: bool = True) -> bool:
    """Write a file unless there is one of this name; whoever is first wins, for ever.

    Args:
        path: Where.
        data: Its content.
        sync: Whether to wait until the disk has it.

    Returns:
        Whether this call has written it.
    """
    arriving = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(arriving, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_all(fd, data)
        try:
            os.link(arriving, path)
        except FileExistsError:
            return False
        if sync:
            # After the name was given: the file systems that matter (ext4, XFS, Btrfs) write the names of a file along
            # with it, and so one wait is enough for both.
            os.fsync(fd)
    finally:
        os.close(fd)
        arriving.unlink(missing_ok=True)
    return True


def write_all(fd: int, data: bytes) -> None:
    """Write all of some bytes, however little the system takes at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_all(paths: Iterable[Path]) -> None:
    """Wait until the disk has files and folders; many take hardly longer than one.

    Raises:
        OSError: The disk is full, or broken.
    """
    waiting = list(paths)
    if len(waiting) < 2:
        for path in waiting:
            sync(path)
        return
    with ThreadPoolExecutor(min(_AT_ONCE, len(waiting))) as pool:
        list(pool.map(sync, waiting))


def sync(path: Path) -> None:
    """Wait until the disk has a file's content, or a folder's names."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_part(path: Path, offset: int, length: int) -> bytes:
    """Give a part of a file; less at its end, nothing if it is not there."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(offset)
        return file.read(length)
    return b""
