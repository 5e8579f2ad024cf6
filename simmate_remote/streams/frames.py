"""Frames: the unit that travels on a carrier, and the reader that finds them again in a carrier's bytes.

A frame is a header of 17 bytes (kind, stream, offset, length of the payload; big-endian) and its payload.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from typing import NamedTuple

from simmate_remote.errors import ProtocolError

HEADER = struct.Struct("!BIQI")
MAX_CONTROL_PAYLOAD = 64 * 1024
MAX_DATA_PAYLOAD = 256 * 1024
MAX_STREAM = 2**32 - 1
MAX_OFFSET = 2**63 - 1


class Kind(enum.IntEnum):
    """What a frame says; docs/protocol.md gives the meaning of stream, offset and payload for each."""

    HELLO = 1
    WELCOME = 2
    REFUSE = 3
    READY = 4
    PING = 5
    PONG = 6
    OPEN = 16
    DATA = 17
    FIN = 18
    ACK = 19
    RESET = 20
    CLOSED = 21


_KINDS = {kind.value: kind for kind in Kind}
_DATA = Kind.DATA  # a member of an enum takes three times as long to look up as a name of the module


class Frame(NamedTuple):
    """One frame, or, for ``DATA``, as much of one as has arrived.

    Args:
        kind: What it says.
        stream: The stream that it is about; 0 for the carrier itself.
        offset: A position in the stream, in bytes.
        payload: Its content. Data comes as a view on what the carrier delivered, so it is never copied here.
    """

    kind: Kind
    stream: int = 0
    offset: int = 0
    payload: bytes | memoryview = b""


def encode(kind: Kind, stream: int = 0, offset: int = 0, payload: bytes = b"") -> bytes:
    """Make the bytes of a frame."""
    return HEADER.pack(kind, stream, offset, len(payload)) + payload


def encode_data_header(stream: int, offset: int, length: int) -> bytes:
    """Make the header of a ``DATA`` frame; the payload follows it on the carrier, and is not copied."""
    return HEADER.pack(_DATA, stream, offset, length)


class FrameReader:
    """Turns a carrier's bytes, however they are cut, into frames.

    The payload of a ``DATA`` frame is handed on in pieces as it arrives, each with its own offset, so that no frame
    has to be complete, or copied, before its bytes go on their way.
    """

    def __init__(self) -> None:
        self._kept = bytearray()
        self._stream = 0
        self._offset = 0
        self._data_left = 0

    def read(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that these bytes complete or carry on.

        Args:
            data: The next bytes of the carrier; they must not change afterwards.

        Raises:
            ProtocolError: The bytes are not a frame that this version knows.
        """
        view = memoryview(data)
        while view:
            if self._data_left:
                piece = view[: self._data_left]
                view = view[len(piece) :]
                yield Frame(_DATA, self._stream, self._offset, piece)
                self._data_left -= len(piece)
                self._offset += len(piece)
                continue
            if not self._kept and len(view) >= HEADER.size:
                kind, stream, offset, length = self._header(view)
                if kind is _DATA:
                    view = view[HEADER.size :]
                    self._stream, self._offset, self._data_left = stream, offset, length
                    continue
                if len(view) >= HEADER.size + length:
                    payload = bytes(view[HEADER.size : HEADER.size + length])
                    view = view[HEADER.size + length :]
                    yield Frame(kind, stream, offset, payload)
                    continue
            view = self._keep(view)
            if len(self._kept) < HEADER.size:
                return
            kind, stream, offset, length = self._header(self._kept)
            if kind is _DATA:
                self._stream, self._offset, self._data_left = stream, offset, length
                self._kept.clear()
            elif len(self._kept) == HEADER.size + length:
                payload = bytes(self._kept[HEADER.size :])
                self._kept.clear()
                yield Frame(kind, stream, offset, payload)

    def _keep(self, view: memoryview) -> memoryview:
        """Move what the frame in hand still lacks from the view, first of its header, then of its payload."""
        wanted = HEADER.size - len(self._kept)
        if wanted <= 0:
            wanted = HEADER.size + self._header(self._kept)[3] - len(self._kept)
        self._kept += view[:wanted]
        return view[wanted:]

    @staticmethod
    def _header(data: memoryview | bytearray) -> tuple[Kind, int, int, int]:
        number, stream, offset, length = HEADER.unpack_from(data)
        kind = _KINDS.get(number)
        if kind is None:
            raise ProtocolError(f"a frame of kind {number}, which this version of the protocol does not know")
        if length > (MAX_DATA_PAYLOAD if kind is _DATA else MAX_CONTROL_PAYLOAD):
            raise ProtocolError(f"a {kind.name} frame of {length} bytes is longer than allowed")
        if length == 0 and kind is _DATA:
            raise ProtocolError("a DATA frame without data")
        if offset > MAX_OFFSET:
            raise ProtocolError(f"a {kind.name} frame with an offset of {offset}")
        return kind, stream, offset, length
