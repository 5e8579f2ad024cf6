"""Frames of a transfer: kind, length, content. Written many at a time, read out of one buffer."""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import TypeAlias

from simmate_remote.errors import ProtocolError

Bytes: TypeAlias = bytes | memoryview

HEADER = struct.Struct("!BI")
MAX_CONTENT = 512 * 1024
FLUSH = 256 * 1024
"""Bytes that are written together."""

BUFFER = 4 * MAX_CONTENT
FEW = 8
"""Pieces up to which a vector costs less than a copy."""


class Kind(IntEnum):
    """What a frame says."""

    ORDER = 1
    """The near end: what to do; JSON. One that is as long as a frame can be is gone on with by the next one."""
    ENTRIES = 2
    """The sender: what there is."""
    LISTED = 3
    """The sender: that was all."""
    WANTS = 4
    """The receiver: which of the files so far it wants."""
    BEGIN = 5
    """The sender: a file begins."""
    PIECE = 6
    """The sender: content of the file that has begun."""
    FINISH = 7
    """The sender: the file has ended, well or not."""
    DONE = 8
    """The sender: everything was sent that was wanted."""
    PROBLEM = 9
    """Either: what could not be copied, or not whole; JSON."""
    SUMMARY = 10
    """The receiver: what became of it all; JSON."""
    FATAL = 11
    """Either: why it can go no further; JSON."""


class FrameWriter:
    """Collects frames and writes them together.

    Args:
        writev: Writes some of the pieces and gives how many bytes it took, as ``os.writev`` does.
    """

    def __init__(self, writev: Callable[[list[Bytes]], int]) -> None:
        self._writev = writev
        self._waiting: list[Bytes] = []
        self._size = 0

    def add(self, kind: Kind, *content: Bytes) -> None:
        """Add a frame, which is written when enough of them wait.

        Args:
            kind: Its kind.
            content: Its pieces, which must not change before :meth:`flush`.
        """
        size = sum(map(len, content))
        self._waiting.append(HEADER.pack(kind, size))
        self._waiting.extend(content)
        self._size += HEADER.size + size
        if self._size >= FLUSH:
            self.flush()

    def flush(self) -> None:
        """Write what waits; returns when the other end's pipe has taken it."""
        pieces = self._waiting
        if len(pieces) > FEW:
            pieces = [b"".join(pieces)]
        self._waiting, self._size = [], 0
        while pieces:
            taken = self._writev(pieces)
            while pieces and taken >= len(pieces[0]):
                taken -= len(pieces.pop(0))
            if taken:
                pieces[0] = memoryview(pieces[0])[taken:]


class FrameReader:
    """Reads frames.

    Args:
        readinto: Waits for bytes, puts them into a buffer and gives how many; 0 is the end.
    """

    def __init__(self, readinto: Callable[[memoryview], int]) -> None:
        self._readinto = readinto
        self._buffer = memoryview(bytearray(BUFFER))
        self._start = self._end = 0

    def next(self) -> tuple[Kind, memoryview]:
        """Wait for the next frame.

        Returns:
            Its kind, and its content, which is good until the next call.

        Raises:
            EOFError: The other end went away.
            ProtocolError: This is no frame.
        """
        self._need(HEADER.size)
        number, size = HEADER.unpack_from(self._buffer, self._start)
        if size > MAX_CONTENT or number not in _KINDS:
            raise ProtocolError(f"no frame of a transfer: kind {number}, {size} bytes")
        self._need(HEADER.size + size)
        begin = self._start + HEADER.size
        self._start = begin + size
        return _KINDS[number], self._buffer[begin : self._start]

    @property
    def more(self) -> bool:
        """Whether bytes that were not looked at are here already."""
        return self._start < self._end

    def _need(self, size: int) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start + size > BUFFER:
            left = self._end - self._start
            self._buffer[:left] = self._buffer[self._start : self._end]
            self._start, self._end = 0, left
        while self._end - self._start < size:
            count = self._readinto(self._buffer[self._end :])
            if not count:
                raise EOFError("the other end of the transfer went away")
            self._end += count


_KINDS = {int(kind): kind for kind in Kind}
