"""A splice joins two connections, a stream and a socket: what arrives at one is written to the other."""

from __future__ import annotations

import asyncio
from typing import cast


class Splice(asyncio.Protocol):
    """One side of a splice; :func:`splice` makes both.

    Back pressure goes through: when one side's writer is full, the other side stops reading. A half close goes
    through as a half close, a reset as a reset.
    """

    def __init__(self) -> None:
        self.other: Splice = self
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []
        self.end_early = False
        self.ended = False
        self.over = False
        self.broken = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.other.transport is None:
            return
        for data in self.early:
            self.transport.write(data)
        self.early.clear()
        if self.other.over:
            # The other side came and went before this one was there.
            self._follow_the_other()
            return
        if self.end_early:
            _write_eof(self.transport)
        self.other.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        target = self.other.transport
        if target is None:
            assert self.transport is not None
            self.other.early.append(data)
            self.transport.pause_reading()
        else:
            target.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        target = self.other.transport
        if target is None:
            self.other.end_early = True
        elif not target.is_closing():
            _write_eof(target)
            if self.other.ended:
                # Nothing more can come either way, and a socket of asyncio's does not close for that.
                target.close()
                assert self.transport is not None
                self.transport.close()
        return True

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None and not self.other.over:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.over, self.broken = True, exc is not None
        if self.other.transport is not None and not self.other.over:
            self.other._follow_the_other()  # noqa: SLF001 - of the same class

    def _follow_the_other(self) -> None:
        assert self.transport is not None
        if self.other.broken:
            self.transport.abort()
        else:
            self.transport.close()


def _write_eof(transport: asyncio.Transport) -> None:
    if transport.can_write_eof():
        transport.write_eof()
    else:
        transport.close()  # over TLS there is no half of an end


class LateEndingSplice(Splice):
    """A side of a splice whose end reaches the other side a moment later, so that a reason for it can be told first.

    Args:
        delay: How much later, in seconds.
    """

    def __init__(self, delay: float) -> None:
        super().__init__()
        self._delay = delay

    def eof_received(self) -> bool:
        asyncio.get_running_loop().call_later(self._delay, super().eof_received)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        asyncio.get_running_loop().call_later(self._delay, super().connection_lost, exc)


def splice(second: Splice | None = None) -> tuple[Splice, Splice]:
    """Make the two protocols of a splice; either connection may be made first."""
    one, two = Splice(), second or Splice()
    one.other, two.other = two, one
    return one, two
