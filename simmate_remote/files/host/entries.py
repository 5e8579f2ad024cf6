"""What the two ends say of files: an entry of the sender's list, a want of the receiver, the head of a file.

An entry names its folder by that folder's number and itself by one name. So no entry can lead out of the tree, whatever
it says.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from simmate_remote.errors import ProtocolError

FILE, FOLDER, LINK = range(3)
OK, GREW, CHANGED, FAILED, ONLY_ASKED = range(5)
"""How a file's content ended; ``ONLY_ASKED``: nothing was to be sent."""

PERMISSIONS = 0o777
"""The bits of a mode that travel: setuid, setgid and sticky mean something else to another machine's users."""

PARTIAL_PREFIX, PARTIAL_SUFFIX = b".simmate-remote-", b".part"
"""How names of our own unfinished files begin and end; nobody sends them."""

EARLIEST, LATEST = -(2**63), 2**63 - 1
"""Nanoseconds since the epoch that a time of change can have on its way: the years 1677 to 2262."""

SMALL = 256 * 1024
"""Bytes up to which a file is held in memory until it is complete, and never continued."""

_ENTRY = struct.Struct("!BHIqQHH")
_WANT = struct.Struct("!QQ32s")
_THROUGH = struct.Struct("!Q")
_BEGIN = struct.Struct("!QQQqH")
LONGEST_NAME = 1024
NO_DIGEST = bytes(32)


class Entry(NamedTuple):
    """One thing in the sender's list.

    Args:
        kind: ``FILE``, ``FOLDER`` or ``LINK``.
        mode: Its permissions.
        parent: The number of its folder; 0 is the target, and each folder has the next number.
        mtime_ns: When its content changed, in nanoseconds since the epoch.
        size: Bytes of a file.
        name: Its name in its folder.
        link: Where a link leads.
    """

    kind: int
    mode: int
    parent: int
    mtime_ns: int
    size: int
    name: bytes
    link: bytes

    def packed(self) -> bytes:
        """Write it down."""
        head = _ENTRY.pack(*self[:5], len(self.name), len(self.link))
        return head + self.name + self.link


class Want(NamedTuple):
    """A file that the receiver wants.

    Args:
        number: Of the file in the sender's list.
        offset: Bytes of it that the receiver has already.
        digest: SHA-256 of these; the sender begins at 0 if its own are others.
    """

    number: int
    offset: int = 0
    digest: bytes = NO_DIGEST


class Begin(NamedTuple):
    """The head of a file: what it was when it was opened, which may be later than the list.

    Args:
        number: Of the file in the list.
        offset: Where the content begins that follows; what is before it, the receiver has.
        size: Bytes of the whole file.
        mtime_ns: When its content changed.
        mode: Its permissions.
    """

    number: int
    offset: int
    size: int
    mtime_ns: int
    mode: int

    def packed(self) -> bytes:
        """Write it down."""
        return _BEGIN.pack(*self)

    @classmethod
    def unpacked(cls, content: memoryview) -> Begin:
        """Read it."""
        try:
            begin = cls(*_BEGIN.unpack(content))
        except struct.error as error:
            raise ProtocolError("the head of a file cannot be read") from error
        if begin.offset > begin.size or begin.size > MAX_SIZE:
            raise ProtocolError("a file cannot begin behind its end")
        return begin


MAX_SIZE = 2**63 - 1


def unpack_entries(content: memoryview) -> Iterator[Entry]:
    """Read entries, which may come from a stranger.

    Raises:
        ProtocolError: These are none, or a name is one that no file can have.
    """
    position = 0
    while position < len(content):
        try:
            kind, mode, parent, mtime_ns, size, name_size, link_size = _ENTRY.unpack_from(content, position)
        except struct.error as error:
            raise ProtocolError("the list of files cannot be read") from error
        begin = position + _ENTRY.size
        position = begin + name_size + link_size
        name, link = bytes(content[begin : begin + name_size]), bytes(content[begin + name_size : position])
        entry = Entry(kind, mode, parent, mtime_ns, size, name, link)
        if position > len(content) or not _is_sound(entry):
            raise ProtocolError(f"the list of files has an entry that can be none: {name!r}")
        yield entry


def _is_sound(entry: Entry) -> bool:
    name, link = entry.name, entry.link
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name or len(name) > LONGEST_NAME:
        return False
    if entry.kind == LINK:
        return bool(link) and b"\0" not in link
    return entry.kind in (FILE, FOLDER) and not link and entry.size <= MAX_SIZE and entry.mode <= PERMISSIONS


def pack_wants(through: int, wants: list[Want]) -> bytes:
    """Write an answer down.

    Args:
        through: How many files of the list have been looked at; which of them are not wanted is known by this.
        wants: The wanted ones.
    """
    return _THROUGH.pack(through) + b"".join(_WANT.pack(*want) for want in wants)


def unpack_wants(content: memoryview) -> tuple[int, list[Want]]:
    """Read an answer.

    Raises:
        ProtocolError: It is none.
    """
    try:
        (through,) = _THROUGH.unpack_from(content)
        return through, [Want(*each) for each in _WANT.iter_unpack(content[_THROUGH.size :])]
    except struct.error as error:
        raise ProtocolError("what is wanted cannot be read") from error


def mtime_of(found: os.stat_result) -> int:
    """Give when a file's content changed, or the next time that can be told; some file systems know more years."""
    return max(EARLIEST, min(found.st_mtime_ns, LATEST))


def is_partial(name: bytes) -> bool:
    """Say whether a file of this name is an unfinished one of ours."""
    return name.startswith(PARTIAL_PREFIX) and name.endswith(PARTIAL_SUFFIX)
