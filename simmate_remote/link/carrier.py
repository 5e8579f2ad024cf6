"""An asyncssh channel, dressed as the transport of a carrier."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Generic

import asyncssh
from asyncssh.channel import SSHChannel

from simmate_remote.link.base import ProtocolT

Reason = Callable[[Exception | None], Exception | None]
"""Translates the reason why a channel ended; ``None`` is an end in peace."""

STDERR_KEPT = 64 * 1024
"""Bytes of a command's stderr that are kept, counted from its end."""

_EXIT_GRACE = 2.0  # seconds between a command's end of output and its exit status, before the channel is closed


class ChannelTransport(asyncio.Transport):
    """Keep asyncio's contract over one SSH channel.

    Args:
        channel: The open channel.
        reason: Gives the exception that the carrier is lost with, made of asyncssh's one.
    """

    def __init__(self, channel: SSHChannel[bytes], protocol: asyncio.Protocol, reason: Reason) -> None:
        super().__init__()
        self._channel = channel
        self._protocol = protocol
        self._reason = reason
        self._loop = asyncio.get_running_loop()
        self._limits = (16 * 1024, 64 * 1024)
        self._reading = True
        self._writing_paused = False
        self._ended_writing = self._ended_there = False
        self._closing = False
        self._lost = False
        self._flushing = False
        self._grace: asyncio.TimerHandle | None = None
        self._info: dict[str, Any] = {"stderr": bytearray(), "exit_status": None, "exit_signal": None}

    # What asyncio asks of a transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._info.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        if self.is_reading():
            self._reading = False
            self._channel.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and not self._closing:
            self._reading = True
            self._channel.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = 64 * 1024 if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be at least low ({low}), and low at least 0")
        self._limits = (low, high)
        if not self._flushing:
            self._channel.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._limits

    def get_write_buffer_size(self) -> int:
        return self._channel.get_write_buffer_size()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._ended_writing and not self._ended_there:
            raise RuntimeError("write() after write_eof()")
        if data and not self._closing and not self._ended_there:
            # Between the end that the server makes and the word of it here, the channel refuses; asyncio never does.
            with contextlib.suppress(BrokenPipeError):
                self._channel.write(data)  # type: ignore[arg-type]  # it copies whatever has a buffer

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._ended_writing and not self._closing:
            self._ended_writing = True
            self._channel.write_eof()

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if self._channel.get_write_buffer_size():
            # The limit of zero makes the channel say when the last byte is out.
            self._flushing = True
            self._channel.set_write_buffer_limits(0)
        else:
            self._finish()

    def abort(self) -> None:
        if not self._lost:
            self._closing = True
            self._channel.abort()
            self._loop.call_soon(self.lose, None)

    # What the session of the channel tells

    def start(self) -> None:
        """Introduce the protocol to its transport, before any byte is read."""
        self._protocol.connection_made(self)

    def receive(self, data: bytes) -> None:
        if not self._closing:
            self._protocol.data_received(data)

    def receive_error_output(self, data: bytes) -> None:
        kept: bytearray = self._info["stderr"]
        kept += data
        del kept[:-STDERR_KEPT]

    def receive_eof(self) -> None:
        if self._closing or self._protocol.eof_received():
            return
        # A command's exit status comes after its last byte: ending our side is enough, the server closes the channel.
        self._ended_there = True  # whoever writes cannot know it yet: it is dropped, as by asyncio
        self.write_eof()
        self._grace = self._loop.call_later(_EXIT_GRACE, self.close)

    def receive_exit(self, status: int, signal: str | None = None) -> None:
        self._info.update(exit_status=status, exit_signal=signal)

    def pause_writing(self) -> None:
        if not self._flushing:
            self._writing_paused = True
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._flushing:
            self._finish()
        elif self._writing_paused:
            self._writing_paused = False
            self._protocol.resume_writing()

    def lose(self, error: Exception | None) -> None:
        """Tell the protocol, once, that this is the end."""
        if self._lost:
            return
        self._lost = self._closing = True
        if self._grace is not None:
            self._grace.cancel()
        self._protocol.connection_lost(self._reason(error))

    def _finish(self) -> None:
        self._channel.write_eof()
        self._channel.close()
        # The server confirms only when the command has ended, which may be never, and close() must not wait for it.
        self._loop.call_soon(self.lose, None)


class _Session(Generic[ProtocolT]):
    """What sessions of commands and of sockets have in common: they hand everything on to the transport."""

    transport: ChannelTransport

    def __init__(self, protocol_factory: Callable[[], ProtocolT], reason: Reason) -> None:
        self._factory = protocol_factory
        self._reason = reason
        self._started = self._ended = False
        self._exit: tuple[int, str | None] | None = None

    def connection_made(self, chan: Any) -> None:
        self._channel = chan

    def session_started(self) -> None:
        self.protocol = self._factory()
        self.transport = ChannelTransport(self._channel, self.protocol, self._reason)
        self._started = True
        self.transport.start()
        self._tell_exit()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self.transport.receive_error_output(data)
        else:
            self.transport.receive(data)

    def eof_received(self) -> bool:
        self._ended = True
        self.transport.receive_eof()
        return True  # the transport decides what an end of file means

    def exit_status_received(self, status: int) -> None:
        self._exit = status, None
        self._tell_exit()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._exit = -1, signal
        self._tell_exit()

    def _tell_exit(self) -> None:
        # That of a command that ends at once may come before the session has started.
        if self._started and self._exit is not None:
            self.transport.receive_exit(*self._exit)

    def pause_writing(self) -> None:
        self.transport.pause_writing()

    def resume_writing(self) -> None:
        self.transport.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._started:
            return
        if exc is None and not self._ended:
            self.eof_received()  # asyncssh forgets an end of file that came together with the close
        self.transport.lose(exc)


class CommandSession(_Session[ProtocolT], asyncssh.SSHClientSession[bytes]):
    """The session of one command."""


class UnixSession(_Session[ProtocolT], asyncssh.SSHUNIXSession[bytes]):
    """The session of one Unix socket on the host."""


class TCPSession(_Session[ProtocolT], asyncssh.SSHTCPSession[bytes]):
    """The session of one TCP connection that a jump host makes for us."""
