"""What is named on the command line, and everything below it, as the sender's list."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from simmate_remote.errors import SourceError
from simmate_remote.files.host.entries import FILE, FOLDER, LINK, PERMISSIONS, Entry, is_partial, mtime_of
from simmate_remote.files.host.order import Problem, shown

_SPECIAL = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_NO_LINK = b""


class Source(NamedTuple):
    """Something that was named.

    Args:
        path: Where it is.
        name: What it is called at the target; empty: what is in it goes into the target itself.
    """

    path: bytes
    name: bytes


class Listed(NamedTuple):
    """An entry and where it is here."""

    entry: Entry
    path: bytes


def find_sources(paths: Sequence[str], *, expand: bool, report: Callable[[Problem], None]) -> list[Source]:
    """Find what was named.

    A folder whose path ends in ``.`` or ``..`` stands for what is in it; anything else keeps its last name.

    Args:
        paths: As they were typed.
        expand: Whether ``~`` and wildcards mean something; where a shell has read the command line they do not.
        report: Told of what is not there.

    Raises:
        SourceError: Two of them would become one at the target, or none is there.
    """
    found: dict[bytes, Source] = {}
    contents = []
    for typed in paths:
        for path in _expand(os.fsencode(typed)) if expand else [os.fsencode(typed)]:
            if not os.path.lexists(path):
                report(Problem(typed, "no such file or folder"))
                continue
            name = os.path.basename(path.rstrip(b"/"))
            source = Source(path, b"" if name in (b"", b".", b"..") else name)
            if not source.name:
                contents.append(source)
            elif (other := found.setdefault(name, source)) != source:
                raise SourceError(
                    f"{shown(other.path)} and {shown(path)} would both become {shown(name)}", meanwhile=NOTHING
                )
    sources = [*found.values(), *contents]
    if not sources:
        more = f", and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
        raise SourceError(f"nothing of this is there: {', '.join(paths[:NAMED])}{more}", meanwhile=NOTHING)
    return sources


NOTHING = "nothing was copied"
NAMED = 10
"""Paths that a message names."""


class Walk:
    """Lists what was found and everything below it, each folder before what is in it; links are not followed.

    Args:
        sources: Where to begin.
        report: Told of what cannot be listed, or is nothing that can be copied.
    """

    def __init__(self, sources: Sequence[Source], report: Callable[[Problem], None]) -> None:
        self._sources = sources
        self._report = report
        self._folders = 0
        self._waiting: list[tuple[bytes, int]] = []

    def __iter__(self) -> Iterator[Listed]:
        for path, name in self._sources:
            if not name:
                self._waiting.append((path, 0))
                continue
            try:
                # With a slash at the end, the kernel follows a link here: this is how one asks for what it leads to.
                listed = self._look(path, name, 0, os.lstat(path))
            except OSError as error:
                self._report(Problem(shown(path), _reason(error)))
                continue
            if listed:
                yield listed
        while self._waiting:
            folder, number = self._waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    yield from self._below(entries, number)
            except OSError as error:
                self._report(Problem(shown(folder), _reason(error)))

    def _below(self, entries: Iterable[os.DirEntry[bytes]], number: int) -> Iterator[Listed]:
        for each in entries:
            if is_partial(each.name):
                continue
            try:
                listed = self._look(each.path, each.name, number, each.stat(follow_symlinks=False))
            except OSError as error:
                self._report(Problem(shown(each.path), _reason(error)))
                continue
            if listed:
                yield listed

    def _look(self, path: bytes, name: bytes, parent: int, found: os.stat_result) -> Listed | None:
        kind = stat.S_IFMT(found.st_mode)
        mode, mtime = found.st_mode & PERMISSIONS, mtime_of(found)
        if kind == stat.S_IFREG:
            return Listed(Entry(FILE, mode, parent, mtime, found.st_size, name, _NO_LINK), path)
        if kind == stat.S_IFDIR:
            self._folders += 1
            self._waiting.append((path, self._folders))
            return Listed(Entry(FOLDER, mode, parent, mtime, 0, name, _NO_LINK), path)
        if kind == stat.S_IFLNK:
            return Listed(Entry(LINK, 0, parent, mtime, 0, name, os.readlink(path)), path)
        self._report(Problem(shown(path), f"{_SPECIAL.get(kind, 'something unknown')} is not copied", failed=False))
        return None


def _expand(typed: bytes) -> list[bytes]:
    import glob  # on demand, as it is needed for one direction alone

    path = os.path.expanduser(typed)
    if os.path.lexists(path) or not glob.has_magic(path):
        return [path]
    return sorted(glob.glob(path, recursive=True)) or [path]


def _reason(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"
