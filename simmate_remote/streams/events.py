"""What the multiplexer tells the application."""

from __future__ import annotations

from typing import NamedTuple


class Opened(NamedTuple):
    """The other end opened a stream; answer with ``Multiplexer.accept`` or ``Multiplexer.reset``."""

    stream: int
    target: str


class Received(NamedTuple):
    """Bytes of a stream, in order. Tell ``Multiplexer.consume`` when they are taken."""

    stream: int
    data: memoryview


class Ended(NamedTuple):
    """The other end has sent all it had; this direction of the stream is at its end."""

    stream: int


class Writable(NamedTuple):
    """A stream whose buffer was full has room again."""

    stream: int


class Closed(NamedTuple):
    """A stream is over: both directions at their end (``reason`` is None), or reset for a reason."""

    stream: int
    reason: str | None


class Pong(NamedTuple):
    """The other end answered a ping on a carrier."""

    carrier: int
    nonce: int


Event = Opened | Received | Ended | Writable | Closed | Pong
