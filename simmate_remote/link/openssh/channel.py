"""One SSH channel to a Unix socket in a master's proxy mode, as the transport of a carrier.

OpenSSH's proxy mode is the one way to such a socket before OpenSSH 9.4. Its masters (seen in 9.2) break down when a
client's connection ends while its channel lives, or after the server has refused it. So a connection is closed only
when its channel has been closed at both ends, one whose channel was refused is kept, and none is made to a master that
is not our own.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from simmate_remote.link.openssh import messages
from simmate_remote.link.openssh.messages import Reader, channel_message, number, string
from simmate_remote.link.openssh.wire import Control, RefusedError, Wire

WINDOW = 4 * 1024 * 1024
"""Bytes that a host may send on one channel ahead of us; a master gets slower the more of them wait in it for us."""

PACKET = 128 * 1024
"""Bytes of one packet to us."""

_AT_ONCE = 512 * 1024  # bytes that are handed to the kernel in one piece
_IN_KERNEL = 256 * 1024  # bytes that may wait for the kernel besides
_OWN_NUMBER = number(0)  # there is one channel on each connection to the master


class Channel(asyncio.Transport):
    """Keep asyncio's contract over one channel.

    Args:
        wire: A connection to the master, in proxy mode.
        master_gone: Called when that connection ends before the channel; calls its argument when the reason is known.
    """

    def __init__(self, wire: Wire, master_gone: Callable[[Callable[[Exception], None]], None]) -> None:
        super().__init__()
        self._wire = wire
        self._master_gone = master_gone
        self._loop = asyncio.get_running_loop()
        self._protocol: asyncio.Protocol | None = None
        self._answer: asyncio.Future[bytes] = self._loop.create_future()
        self._there = 0
        # Towards the host
        self._limits = (16 * 1024, 64 * 1024)
        self._window = 0
        self._largest = 0
        self._unsent: deque[memoryview] = deque()
        self._unsent_size = 0
        self._wire_full = False
        self._writing_paused = False
        self._ended_writing = False
        self._eof_sent = False
        # From the host
        self._reading = True
        self._arrived: list[memoryview] = []
        self._consumed = 0
        self._eof = False
        self._eof_told = False
        self._closed_there = False
        # The end
        self._closing = False
        self._left = False
        self._lost = False
        wire.transport.set_write_buffer_limits(_IN_KERNEL)
        wire.message = self._receive
        wire.batch_ended = self._deliver
        wire.lost = self._wire_lost
        wire.writable = self._wire_writable

    @classmethod
    async def open(
        cls,
        control: Path,
        path: str,
        keep: Callable[[Wire], None],
        master_gone: Callable[[Callable[[Exception], None]], None],
    ) -> Channel:
        """Open a channel to a Unix socket through our own master.

        Args:
            control: The control socket.
            path: The socket on the host.
            keep: Told of the connection, which must not end before the master does, or the channel is closed.
            master_gone: As for the class.

        Raises:
            RefusedError: The server refused it.
            OSError: The master is gone, or has no proxy mode.
        """
        dialled = await Control.dial(control)
        keep(dialled.wire)
        answer, _ = await dialled.ask(messages.PROXY)
        if answer != messages.PROXY_BEGINS:
            raise ConnectionError("the master has no proxy mode; OpenSSH has it since 7.4")
        channel = cls(dialled.wire, master_gone)
        kind = string(b"direct-streamlocal@openssh.com") + _OWN_NUMBER + number(WINDOW) + number(PACKET)
        channel._send(messages.CHANNEL_OPEN, kind + string(os.fsencode(path)) + string(b"") + number(0))
        try:
            reader = Reader(memoryview(await channel._answer))
        except asyncio.CancelledError:
            channel.abort()
            raise
        channel._there, channel._window, channel._largest = reader.number(), reader.number(), reader.number()
        return channel

    def begin(self, protocol: asyncio.Protocol) -> None:
        """Introduce the protocol to its transport, and let it have what arrived."""
        self._protocol = protocol
        protocol.connection_made(self)
        self._deliver()

    # What asyncio asks of a transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        # What arrives meanwhile waits here; it is no more than the window, which is not renewed.
        self._reading = False

    def resume_reading(self) -> None:
        if not self._reading and not self._closing:
            self._reading = True
            self._loop.call_soon(self._deliver)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = 64 * 1024 if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be at least low ({low}), and low at least 0")
        self._limits = (low, high)
        self._balance()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._limits

    def get_write_buffer_size(self) -> int:
        return self._unsent_size

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._ended_writing:
            raise RuntimeError("write() after write_eof()")
        if data and not self._closing:
            self._unsent.append(memoryview(data if isinstance(data, bytes) else bytes(data)))
            self._unsent_size += len(data)
            self._pump()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._ended_writing and not self._closing:
            self._ended_writing = True
            self._pump()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._arrived.clear()
            self._pump()

    def abort(self) -> None:
        if not self._lost:
            self._closing = True
            self._leave()
            self._loop.call_soon(self.lose, None)

    # Towards the host

    def _pump(self) -> None:
        """Send what the window and the kernel take."""
        if self._left or self._lost:
            return
        pieces: list[bytes | memoryview] = []
        gathered = 0
        while self._unsent and self._window and not self._wire_full:
            first = self._unsent[0]
            size = min(len(first), self._window, self._largest)
            pieces += (messages.data_head(self._there, size), first[:size])
            self._window -= size
            self._unsent_size -= size
            gathered += size
            if size == len(first):
                self._unsent.popleft()
            else:
                self._unsent[0] = first[size:]
            if gathered >= _AT_ONCE:
                self._wire.transport.writelines(pieces)
                pieces, gathered = [], 0
        if pieces:
            self._wire.transport.writelines(pieces)
        if not self._unsent:
            self._end_writing()
        self._balance()

    def _end_writing(self) -> None:
        if self._closing:
            self._leave()
            self._loop.call_soon(self.lose, None)
        elif self._ended_writing:
            self._send_eof()

    def _leave(self) -> None:
        """Close the channel, and the connection when the server has closed it, too."""
        if self._left:
            return
        self._left = True
        self._arrived.clear()
        self._wire.lost = lambda: None
        if self._largest:
            self._send_eof()
            self._send(messages.CHANNEL_CLOSE, number(self._there))
        if self._closed_there:
            self._wire.transport.close()

    def _send_eof(self) -> None:
        if not self._eof_sent:
            self._eof_sent = True
            self._send(messages.CHANNEL_EOF, number(self._there))

    def _balance(self) -> None:
        """Stop or start the protocol's writing."""
        if self._protocol is None or self._closing:
            return
        low, high = self._limits
        size = self._unsent_size
        if size > high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()
        elif size <= low and self._writing_paused:
            self._writing_paused = False
            self._protocol.resume_writing()

    def _wire_writable(self, writable: bool) -> None:
        self._wire_full = not writable
        if writable:
            self._pump()

    def _send(self, kind: int, body: bytes) -> None:
        self._wire.transport.write(channel_message(kind, body))

    # From the host

    def _receive(self, message: memoryview) -> None:
        kind = message[1] if len(message) > 5 else 0
        if kind == messages.CHANNEL_DATA:
            if not self._left:
                self._arrived.append(message[10:])
            return
        reader = Reader(message)
        reader.byte()
        kind = reader.byte()
        reader.number()
        match kind:
            case messages.CHANNEL_WINDOW_ADJUST:
                self._window += reader.number()
                self._pump()
            case messages.CHANNEL_REQUEST:
                self._take_request(reader)
            case messages.CHANNEL_EOF:
                self._eof = True
            case messages.CHANNEL_CLOSE:
                self._eof = self._closed_there = True
                if self._left:
                    self._wire.transport.close()
            case messages.CHANNEL_OPEN_CONFIRMATION if self._left:
                # Whoever asked for it has gone in the meantime.
                self._send(messages.CHANNEL_CLOSE, number(reader.number()))
            case messages.CHANNEL_OPEN_CONFIRMATION:
                self._settle(bytes(message[6:]))
            case messages.CHANNEL_OPEN_FAILURE:
                reader.number()
                self._wire.lost = lambda: None
                self._settle(RefusedError(reader.string().decode(errors="replace")))

    def _settle(self, answer: bytes | Exception) -> None:
        if self._answer.done():
            return
        if isinstance(answer, Exception):
            self._answer.set_exception(answer)
        else:
            self._answer.set_result(answer)

    def _take_request(self, reader: Reader) -> None:
        reader.string()
        if reader.byte():
            # A server asks in this way whether we are there; any answer says so.
            self._send(messages.CHANNEL_FAILURE, number(self._there))

    def _renew(self, size: int) -> None:
        """Let the host send on, in steps that are large enough not to cost much."""
        self._consumed += size
        if self._consumed >= WINDOW // 8 and not self._left:
            self._send(messages.CHANNEL_WINDOW_ADJUST, number(self._there) + number(self._consumed))
            self._consumed = 0

    def _deliver(self) -> None:
        """Give the protocol what arrived, in order: bytes, the end of them, the end of all."""
        protocol = self._protocol
        if protocol is None or not self.is_reading():
            return
        if self._arrived:
            data = b"".join(self._arrived)
            self._arrived.clear()
            self._renew(len(data))
            protocol.data_received(data)
        if not self.is_reading():
            return
        if self._eof and not self._eof_told:
            self._eof_told = True
            if not protocol.eof_received():
                self.close()
        if self._closed_there and not self._closing:
            self._closing = True
            self._leave()
            self.lose(None)

    def _wire_lost(self) -> None:
        self._settle(ConnectionError("the master has ended"))
        self._master_gone(self.lose)

    def release(self) -> None:
        """Let go of the connection; the master must have ended."""
        self._wire.abort()

    def lose(self, error: Exception | None) -> None:
        """Tell the protocol, once, that this is the end."""
        if self._lost:
            return
        self._lost = self._closing = True
        self._unsent.clear()
        self._unsent_size = 0
        if self._protocol is not None:
            self._protocol.connection_lost(error)
