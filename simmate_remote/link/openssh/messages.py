"""The messages of OpenSSH's multiplexing protocol, and those of an SSH channel in its proxy mode.

Sources: OpenSSH's ``PROTOCOL.mux`` (version 4), and RFC 4254 for channels.
"""

from __future__ import annotations

import struct
from typing import Final

HELLO: Final = 0x00000001
VERSION: Final = 4

NEW_SESSION: Final = 0x10000002
ALIVE_CHECK: Final = 0x10000004
TERMINATE: Final = 0x10000005
PROXY: Final = 0x1000000F

EXIT_MESSAGE: Final = 0x80000004
SESSION_OPENED: Final = 0x80000006
PROXY_BEGINS: Final = 0x8000000F

CHANNEL_OPEN: Final = 90
CHANNEL_OPEN_CONFIRMATION: Final = 91
CHANNEL_OPEN_FAILURE: Final = 92
CHANNEL_WINDOW_ADJUST: Final = 93
CHANNEL_DATA: Final = 94
CHANNEL_EOF: Final = 96
CHANNEL_CLOSE: Final = 97
CHANNEL_REQUEST: Final = 98
CHANNEL_FAILURE: Final = 100

_NUMBER = struct.Struct(">I")
_DATA_HEAD = struct.Struct(">IBBII")


def number(value: int) -> bytes:
    """Encode a number of 32 bits."""
    return _NUMBER.pack(value)


def string(value: bytes) -> bytes:
    """Encode bytes with their length."""
    return _NUMBER.pack(len(value)) + value


def control_message(*values: int) -> bytes:
    """Compose a message to the master: its type, and numbers."""
    return string(b"".join(map(_NUMBER.pack, values)))


def channel_message(kind: int, body: bytes) -> bytes:
    """Compose a message of the proxy mode."""
    return _NUMBER.pack(len(body) + 2) + bytes((0, kind)) + body


def data_head(recipient: int, size: int) -> bytes:
    """Compose what stands before the bytes of CHANNEL_DATA."""
    return _DATA_HEAD.pack(size + 10, 0, CHANNEL_DATA, recipient, size)


class Reader:
    """Take a message apart, field by field.

    Raises:
        ValueError: By every method: the message ends too early.
    """

    def __init__(self, message: memoryview) -> None:
        self._rest = message

    def byte(self) -> int:
        """Take one byte."""
        return self._take(1)[0]

    def number(self) -> int:
        """Take a number of 32 bits."""
        return int(_NUMBER.unpack(self._take(4))[0])

    def string(self) -> bytes:
        """Take bytes with their length."""
        return bytes(self._take(self.number()))

    def _take(self, size: int) -> memoryview:
        if size > len(self._rest):
            raise ValueError("a message ends too early")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
