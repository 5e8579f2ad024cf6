"""Two pipes as one connection: what the other end calls its stdin and stdout."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
from collections import deque
from collections.abc import Iterable
from itertools import islice

PIPE_SIZE = 256 * 1024
"""Bytes that the kernel keeps in a pipe where it lets us choose; the usual 64 kB mean four times as many turns."""

HIGH, LOW = 64 * 1024, 16 * 1024
MAX_VECTORS = 64


class PipePair(asyncio.Transport):
    """A transport over two pipes, which writes many pieces at once and copies none of them.

    Args:
        protocol: Who is told what arrives.
        reader: Descriptor of the pipe that is read from; it is this object's from now on.
        writer: The same of the one that is written to.
        held: A connection to the command that lent its pipes; closing it lets the command end.
    """

    def __init__(self, protocol: asyncio.Protocol, reader: int, writer: int, held: socket.socket) -> None:
        super().__init__()
        self._protocol = protocol
        self._reader = reader
        self._writer = writer
        self._held: socket.socket | None = held
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[memoryview] = deque()
        self._size = 0
        self._reading = False
        self._full = False
        self._closing = False

    def start(self) -> None:
        """Introduce the protocol and begin to read.

        Raises:
            OSError: These are no pipes, but files, for example; nothing is left open then.
        """
        try:
            for descriptor in (self._reader, self._writer):
                os.set_blocking(descriptor, False)
                with contextlib.suppress(OSError):  # a socket, or more than this user may have
                    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
            self.resume_reading()
        except OSError:
            self._close_all()
            raise
        self._protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writelines([bytes(data)])

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Write pieces, which must not change afterwards."""
        if self._closing:
            return
        idle = not self._waiting
        for piece in list_of_data:
            self._waiting.append(memoryview(piece))
            self._size += len(piece)
        if idle:
            self._flush()
        if self._size > HIGH and not self._full:
            self._full = True
            self._protocol.pause_writing()

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._reader)

    def resume_reading(self) -> None:
        if not self._reading and not self._closing:
            self._loop.add_reader(self._reader, self._read)
            self._reading = True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.pause_reading()
            if not self._waiting:
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self._closing = True
        self._waiting.clear()
        self._lose(None)

    def _read(self) -> None:
        try:
            data = os.read(self._reader, PIPE_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._lose(None)

    def _flush(self) -> None:
        try:
            while self._waiting:
                self._forget(os.writev(self._writer, list(islice(self._waiting, MAX_VECTORS))))
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._writer, self._go_on)
        except OSError as error:
            self._waiting.clear()
            self._loop.call_soon(self._lose, error)

    def _go_on(self) -> None:
        self._loop.remove_writer(self._writer)
        self._flush()
        if self._full and self._size <= LOW:
            self._full = False
            self._protocol.resume_writing()
        if self._closing and not self._waiting:
            self._lose(None)

    def _forget(self, size: int) -> None:
        self._size -= size
        if not self._size:
            self._waiting.clear()
            return
        while size:
            first = self._waiting[0]
            if size < len(first):
                self._waiting[0] = first[size:]
                return
            size -= len(first)
            self._waiting.popleft()

    def _lose(self, error: Exception | None) -> None:
        """Take both pipes as gone when either is."""
        if self._held is not None:
            self._closing = True
            self._close_all()
            self._protocol.connection_lost(error)

    def _close_all(self) -> None:
        assert self._held is not None
        self.pause_reading()
        self._loop.remove_writer(self._writer)
        os.close(self._reader)
        os.close(self._writer)
        self._held.close()
        self._held = None
