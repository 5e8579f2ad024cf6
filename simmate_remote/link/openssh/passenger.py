"""A command that a master runs for us on descriptors of ours, as the transport of a carrier."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from simmate_remote.errors import LinkLostError
from simmate_remote.link.giving_up import give_up
from simmate_remote.link.openssh import messages
from simmate_remote.link.openssh.messages import Reader, control_message, number, string
from simmate_remote.link.openssh.wire import RefusedError, Wire

STDERR_KEPT = 64 * 1024
"""Bytes of a command's stderr that are kept, counted from its end."""

_EXIT_GRACE = 2.0  # seconds between a command's end of output and its exit status, before it is left alone
_NO_ESCAPE = 0xFFFFFFFF

Verdict = Callable[[], Awaitable[LinkLostError | None]]
"""Finds out why something has ended: the link is lost, or ``None``: it stands."""


class Passenger(asyncio.Transport):
    """Keep asyncio's contract over the stdin and stdout of a command.

    Three pairs of sockets lie between us and the master, which reads and writes them as fast as ``ssh`` itself would.

    Args:
        wire: The connection to the master that started the command; its end is the end of the command.
        verdict: Tells the end of the command from the end of the link.
        protocol: Told what arrives.
    """

    def __init__(self, wire: _SessionWire, verdict: Verdict, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._wire = wire
        self._verdict = verdict
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._stdin: asyncio.Transport
        self._stdout: asyncio.Transport
        self._stderr: asyncio.Transport
        self._reading = True
        self._output_open = self._errors_open = True
        self._ended_writing = self._ended_there = False
        self._closing = False
        self._flushed = self._lost = False
        self._judging: asyncio.Task[None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._info: dict[str, Any] = {"stderr": bytearray(), "exit_status": None, "exit_signal": None}

    @classmethod
    async def start(
        cls,
        control: Path,
        command: str,
        environment: Mapping[str, str],
        verdict: Verdict,
        protocol_factory: Callable[[], asyncio.Protocol],
        *,
        subsystem: bool = False,
    ) -> Passenger:
        """Start a command through a master.

        Args:
            control: The control socket.
            command: For the user's login shell; with ``subsystem``, the name of one of the server's subsystems.
            environment: Variables to send.
            verdict: As for the class.
            protocol_factory: Makes the protocol, when the command has been started.

        Raises:
            RefusedError: The server runs no (further) command.
            OSError: The master is gone.
        """
        ours: list[socket.socket] = []
        transports: list[asyncio.Transport] = []
        try:
            wire = await _ask_for_session(control, command, environment, ours, subsystem=subsystem)
            transports.append(wire.transport)
            self = cls(wire, verdict, protocol_factory())
            for protocol in (_Stdin(self), _Stdout(self), _Stderr(self)):
                transport, _ = await self._loop.create_connection(lambda one=protocol: one, sock=ours.pop(0))  # type: ignore[misc]
                # Nothing has been read yet: the loop looks for input after it has run what was ready before.
                transport.pause_reading()
                transports.append(transport)
            _, self._stdin, self._stdout, self._stderr = transports
            self._begin()
        except BaseException:
            for end in ours:
                end.close()
            for transport in transports:
                give_up(transport)
            raise
        return self

    def _begin(self) -> None:
        self._protocol.connection_made(self)
        self._stdin.resume_reading()
        self._stderr.resume_reading()
        if self._reading:
            self._stdout.resume_reading()
        self._wire.message = self._take
        for message in self._wire.early:
            self._take(message)
        self._wire.lost = self._consider_end
        self._wire.tell_if_lost()

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
            self._stdout.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and not self._closing:
            self._reading = True
            self._stdout.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._stdin.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._stdin.get_write_buffer_limits()

    def get_write_buffer_size(self) -> int:
        return 0 if self._lost else self._stdin.get_write_buffer_size()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._ended_writing and not self._ended_there:
            raise RuntimeError("write() after write_eof()")
        # A command that has ended, or has closed its stdin, reads nothing; the master has closed our pair then.
        if data and not self._closing and not self._ended_there and not self._stdin.is_closing():
            self._stdin.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._ended_writing and not self._closing:
            self._ended_writing = True
            if not self._stdin.is_closing():
                self._stdin.write_eof()

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        give_up(self._stdout)
        give_up(self._stderr)
        if not self._stdin.is_closing():
            self._stdin.write_eof()
        if self._stdin.get_write_buffer_size():
            # With no limit, it says when the last byte is out.
            self._stdin.set_write_buffer_limits(0, 0)
        else:
            self._end_flush()

    def abort(self) -> None:
        if not self._lost:
            self._closing = True
            give_up(self._stdin)
            self._wire.abort()
            self._loop.call_soon(self.lose, None)

    # What the three pairs and the master tell

    def pause_writing(self) -> None:
        """Pass on that stdin takes no more for now."""
        if not self._closing:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that stdin takes more, or note that all was taken."""
        if self._closing:
            self._end_flush()
        else:
            self._protocol.resume_writing()

    def receive(self, data: bytes) -> None:
        """Pass on output."""
        if not self._closing:
            self._protocol.data_received(data)

    def receive_errors(self, data: bytes) -> None:
        """Keep the end of stderr."""
        kept: bytearray = self._info["stderr"]
        kept += data
        del kept[:-STDERR_KEPT]

    def input_ended(self) -> None:
        """Note that the master has read all of stdin, or reads no more of it."""
        if self._closing:
            # Until now, it would not have sent what waits in the pair. Now the channel is closed.
            self._wire.transport.close()
            self._end_flush()

    def output_ended(self) -> None:
        """Note that nothing more comes from stdout."""
        self._output_open = False
        if not self._closing:
            self._judge(self._tell_eof)

    def errors_ended(self) -> None:
        """Note that nothing more comes from stderr."""
        self._errors_open = False
        self._consider_end()

    def _take(self, message: memoryview) -> None:
        reader = Reader(message)
        if reader.number() == messages.EXIT_MESSAGE:
            reader.number()
            self._info["exit_status"] = reader.number()

    def _tell_eof(self) -> None:
        if self._closing:
            return
        if not self._protocol.eof_received() and not self._closing:
            # A command's exit status comes after its last byte: ending our side is enough, the command ends then.
            self._ended_there = True  # whoever writes cannot know it yet: it is dropped, as by asyncio
            self.write_eof()
            self._grace = self._loop.call_later(_EXIT_GRACE, self.close)
        self._consider_end()

    def _consider_end(self) -> None:
        """End when the master has closed everything, and all that came was handed over."""
        if self._closing and self._wire.is_lost:
            give_up(self._stdin)
        if self._wire.is_lost and not (self._output_open or self._errors_open or self._lost):
            self._judge(lambda: self.lose(None))

    def _judge(self, go_on: Callable[[], None]) -> None:
        """Go on if the link stands: the end of a master closes the same pairs that the end of a command closes."""
        before = self._judging

        async def judge() -> None:
            if before is not None:
                await before
            lost = await self._verdict()
            if lost is not None:
                self.lose(lost)
            elif not self._lost:
                go_on()

        self._judging = asyncio.create_task(judge())

    def _end_flush(self) -> None:
        if not self._flushed:
            self._flushed = True
            self._loop.call_soon(self.lose, None)

    def lose(self, error: Exception | None) -> None:
        """Tell the protocol, once, that this is the end."""
        if self._lost:
            return
        if self._wire.is_lost and self._info["exit_status"] is None:
            self._info["exit_status"] = -1  # a signal; which one, a master does not say
        self._lost = True
        if self._grace is not None:
            self._grace.cancel()
        give_up(self._stdout)
        give_up(self._stderr)
        if not self._closing:
            self.release()
        self._closing = True
        self._protocol.connection_lost(error)

    def release(self) -> None:
        """Let go of what a closed transport still holds, until the master has sent what was written."""
        give_up(self._stdin)
        self._wire.abort()


class _Stdin(asyncio.Protocol):
    """Our end of the command's stdin."""

    def __init__(self, owner: Passenger) -> None:
        self._owner = owner

    def pause_writing(self) -> None:
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        self._owner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.input_ended()


class _Stdout(asyncio.Protocol):
    """Our end of the command's stdout."""

    def __init__(self, owner: Passenger) -> None:
        self._owner = owner
        self.data_received = owner.receive  # type: ignore[method-assign]  # one call less for each piece

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.output_ended()


class _Stderr(asyncio.Protocol):
    """Our end of the command's stderr."""

    def __init__(self, owner: Passenger) -> None:
        self._owner = owner

    def data_received(self, data: bytes) -> None:
        self._owner.receive_errors(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.errors_ended()


async def _ask_for_session(
    control: Path, command: str, environment: Mapping[str, str], ours: list[socket.socket], *, subsystem: bool
) -> _SessionWire:
    """Hand the master a command and its descriptors; our ends of them are added to the list."""
    loop = asyncio.get_running_loop()
    flags = number(0) * 3 + number(subsystem)
    fields = [string(b""), flags, number(_NO_ESCAPE), string(b""), string(os.fsencode(command))]
    fields += [string(os.fsencode(f"{name}={value}")) for name, value in environment.items()]
    request = string(number(messages.NEW_SESSION) + number(1) + b"".join(fields))
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.setblocking(False)
        await loop.sock_connect(connection, str(control))
        await loop.sock_sendall(connection, control_message(messages.HELLO, messages.VERSION) + request)
        for _ in ("stdin", "stdout", "stderr"):
            near, far = socket.socketpair()
            with far:
                near.setblocking(False)
                ours.append(near)
                connection.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [far.fileno()]))])
    except BaseException:
        connection.close()
        raise
    answer: asyncio.Future[None] = loop.create_future()
    _, wire = await loop.create_connection(lambda: _SessionWire(answer), sock=connection)
    try:
        await answer
    except BaseException:
        wire.abort()
        raise
    return wire


class _SessionWire(Wire):
    """Reads what a master says until it has opened the session."""

    def __init__(self, answer: asyncio.Future[None]) -> None:
        super().__init__()
        self._answer = answer
        self.early: list[memoryview] = []  # what came before the carrier was there to hear it
        self.message = self._read
        self.lost = self._fail

    def _read(self, message: memoryview) -> None:
        reader = Reader(message)
        kind = reader.number()
        if kind == messages.HELLO:
            if reader.number() != messages.VERSION:
                raise ValueError("the control socket speaks another version")
        elif self._answer.done():
            self.early.append(message)
        else:
            reader.number()
            if kind == messages.SESSION_OPENED:
                self._answer.set_result(None)
            else:
                self._answer.set_exception(RefusedError(reader.string().decode(errors="replace")))

    def _fail(self) -> None:
        if not self._answer.done():
            self._answer.set_exception(ConnectionError("the master has ended"))
