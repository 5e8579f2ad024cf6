"""A connection to the control socket of a master: messages with their length before them."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path

from simmate_remote.link.giving_up import give_up
from simmate_remote.link.openssh import messages
from simmate_remote.link.openssh.messages import Reader

LONGEST_MESSAGE = 1024 * 1024
"""OpenSSH's packets have at most 256 kB, and messages to a client of its multiplexing are shorter."""

ANSWER_TIMEOUT = 5.0
"""Seconds for a master, a process of this machine, to answer."""

_LENGTH = struct.Struct(">I")


class Wire(asyncio.Protocol):
    """Cuts what arrives into messages.

    Attributes:
        message: Called with each message, without its length; it may raise ValueError for one that makes no sense.
        batch_ended: Called after the last message of those that arrived together.
        lost: Called when the connection has ended.
        writable: Called with whether more may be written.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.message: Callable[[memoryview], None] = lambda _: None
        self.batch_ended: Callable[[], None] = lambda: None
        self.lost: Callable[[], None] = lambda: None
        self.writable: Callable[[bool], None] = lambda _: None
        self.is_lost = False
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        view, begin, end = memoryview(data), 0, len(data)
        try:
            while end - begin >= 4:
                (size,) = _LENGTH.unpack_from(data, begin)
                if size > LONGEST_MESSAGE:
                    raise ValueError("a message is too long")
                if end - begin - 4 < size:
                    break
                self.message(view[begin + 4 : begin + 4 + size])
                begin += 4 + size
        except ValueError:
            # Whoever speaks like this is no master, and nothing that it still says has a meaning.
            self.abort()
            return
        self._rest = data[begin:]
        self.batch_ended()

    def pause_writing(self) -> None:
        self.writable(False)

    def resume_writing(self) -> None:
        self.writable(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self.lost()

    def abort(self) -> None:
        """End the connection at once."""
        give_up(self.transport)

    def tell_if_lost(self) -> None:
        """Tell whoever has taken over the connection that it has ended before."""
        if self.is_lost:
            self.lost()


class RefusedError(Exception):
    """The server refused a session or a channel; the text is the server's, or the master's."""


class Control:
    """A conversation with a master, one question at a time.

    Args:
        wire: The connection.
    """

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._questions = 0
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[Reader] = asyncio.get_running_loop().create_future()

    @classmethod
    async def dial(cls, path: Path | str) -> Control:
        """Connect to a control socket.

        Raises:
            OSError: Nothing answers there, or something that is no master of a version that we know.
        """
        async with asyncio.timeout(ANSWER_TIMEOUT):
            _, wire = await asyncio.get_running_loop().create_unix_connection(Wire, str(path))
            control = cls(wire)
            try:
                reader = await control._exchange(messages.control_message(messages.HELLO, messages.VERSION))
                if reader.number() != messages.HELLO or reader.number() != messages.VERSION:
                    raise ConnectionError("the control socket speaks another protocol")
            except BaseException:
                wire.abort()
                raise
            return control

    async def ask(self, kind: int) -> tuple[int, Reader]:
        """Ask for something, and give the kind of the answer and the rest of it.

        Raises:
            OSError: The master is gone, or does not answer.
        """
        async with asyncio.timeout(ANSWER_TIMEOUT), self._turn:
            self._questions += 1
            reader = await self._exchange(messages.control_message(kind, self._questions))
        answer = reader.number()
        reader.number()
        return answer, reader

    async def _exchange(self, message: bytes) -> Reader:
        if self.wire.is_lost:
            raise ConnectionError("the master has ended")
        self._answer = asyncio.get_running_loop().create_future()
        others_lost, self.wire.lost = self.wire.lost, self._give_up
        self.wire.message = self._take
        self.wire.transport.write(message)
        try:
            return await self._answer
        finally:
            self.wire.lost = others_lost
            self.wire.tell_if_lost()

    def _take(self, message: memoryview) -> None:
        if not self._answer.done():
            self._answer.set_result(Reader(memoryview(bytes(message))))

    def _give_up(self) -> None:
        if not self._answer.done():
            self._answer.set_exception(ConnectionError("the master has ended"))
