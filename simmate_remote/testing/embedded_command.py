"""One command on an embedded host: a real process, its pipes, and the SSH channel that they go through."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, cast

import asyncssh

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# What OpenSSH's server passes on; other signal requests are ignored.
_SIGNALS = frozenset(
    ("ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2")
)
_SIGNAL_NAMES = {number.value: number.name.removeprefix("SIG") for number in signal.Signals}
_NOISE = 'printf %s "$1"; printf %s "$1" >&2; shift; exec "$@"'


@dataclass(frozen=True)
class Account:
    """How commands are started.

    Args:
        shell: The login shell; commands are given to it after ``-c``.
        home: Where they start.
        environment: All that they find in their environment, except what a client sends.
        banner: What the shell writes on both streams before it runs a command.
    """

    shell: Path
    home: Path
    environment: Mapping[str, str]
    banner: str = ""

    def argv(self, command: str | None) -> list[str]:
        """Return the command line for a command, or of a shell that reads its stdin."""
        argv = [str(self.shell), "-l"] if command is None else [str(self.shell), "-c", command]
        return ["/bin/sh", "-c", _NOISE, "sh", self.banner, *argv] if self.banner else argv


class Command(asyncssh.SSHServerSession[bytes]):
    """A session channel as OpenSSH's server handles one without a terminal.

    The process gets pipes, and signals only when the client asks for them: when the client is gone, its stdin
    ends and its output has no reader, and that is all. The channel is closed when the process has ended and
    nobody holds its stdout and stderr any more.

    Args:
        account: How to start it.
        running: Where it is listed from its start to its process's end.
        closed: Called once when the channel is gone.
    """

    def __init__(self, account: Account, running: set[Command], closed: Callable[[Command], None]) -> None:
        self._account = account
        self._running = running
        self._closed = closed
        self._exited = asyncio.Event()
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._command: str | None = None
        self._process: asyncio.SubprocessTransport | None = None
        self._starting: asyncio.Task[None] | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._outputs: list[asyncio.ReadTransport] = []
        self._early: list[bytes] = []
        self._early_eof = False
        self._early_signals: list[str] = []
        self._open_outputs = 2
        self._returncode: int | None = None

    # What the channel tells.

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def exec_requested(self, command: str) -> bool:
        self._command = command
        return True

    def shell_requested(self) -> bool:
        return True

    def session_started(self) -> None:
        self._running.add(self)
        self._starting = asyncio.get_running_loop().create_task(self._start())

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._starting is not None:
            self._early.append(data)
        elif self._stdin is not None:
            self._stdin.write(data)

    def eof_received(self) -> bool:
        if self._starting is not None:
            self._early_eof = True
        else:
            self._close_stdin()
        return True

    def signal_received(self, signal: str) -> None:
        if self._starting is not None:
            self._early_signals.append(signal)
        elif signal in _SIGNALS:
            self._signal(signal)

    def pause_writing(self) -> None:
        for output in self._outputs:
            output.pause_reading()

    def resume_writing(self) -> None:
        for output in self._outputs:
            output.resume_reading()
        if not self._open_outputs:
            # asyncssh sends the end of file only after this call.
            asyncio.get_running_loop().call_soon(self._finish)

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel = None
        self._drop_pipes()
        self._closed(self)

    async def end(self) -> None:
        """Kill the process, and what is still in its process group, and wait for its end."""
        if self._starting is not None:
            await self._starting
        self._signal("KILL")
        await self._exited.wait()

    # What the process and its pipes tell.

    def process_exited(self, process: asyncio.SubprocessTransport) -> None:
        """Take the process's end; its output may still have to be read."""
        self._returncode = process.get_returncode()
        process.close()
        self._over()
        self._close_stdin()
        self._finish()

    def output(self, data: bytes, datatype: int | None) -> None:
        """Send on what the process wrote."""
        try:
            if self._channel is not None:
                self._channel.write(data, datatype)
        except BrokenPipeError:
            self._drop_pipes()

    def output_ended(self) -> None:
        """Note that nobody can write to stdout, or to stderr, any more."""
        self._open_outputs -= 1
        self._finish()

    def stdin_paused(self, paused: bool) -> None:
        """Hold the client back while the process does not read."""
        if self._channel is not None:
            if paused:
                self._channel.pause_reading()
            else:
                self._channel.resume_reading()

    def stdin_ended(self) -> None:
        """Drop what the client still sends: nobody reads it any more."""
        self._stdin = None
        self.stdin_paused(False)

    async def _start(self) -> None:
        channel = self._channel
        environment = None if channel is None else self._environment(channel)
        if environment is None:
            self._over()
            return
        loop = asyncio.get_running_loop()
        ends = [os.pipe() for _ in range(3)]
        (child_in, stdin), (stdout, child_out), (stderr, child_err) = ends
        try:
            self._process, _ = await loop.subprocess_exec(
                lambda: _Exit(self),
                *self._account.argv(self._command),
                stdin=child_in,
                stdout=child_out,
                stderr=child_err,
                cwd=self._account.home,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            # Such as a command line that is too long for the kernel.
            for end in (stdin, stdout, stderr):
                os.close(end)
            self._starting = None
            self._over()
            if self._channel is not None:
                self._channel.write_stderr(f"{error}\n".encode())
                self._channel.exit(126)
            return
        finally:
            for end in (child_in, child_out, child_err):
                os.close(end)
        for fd, datatype in ((stdout, None), (stderr, asyncssh.EXTENDED_DATA_STDERR)):
            output, _ = await loop.connect_read_pipe(partial(_Output, self, datatype), _file(fd, "rb"))
            self._outputs.append(output)
        self._stdin, _ = await loop.connect_write_pipe(lambda: _Input(self), _file(stdin, "wb"))
        self._starting = None
        for name in self._early_signals:
            self.signal_received(name)
        self._stdin.writelines(self._early)
        self._early.clear()
        if self._early_eof:
            self._close_stdin()
        if self._channel is None:
            self._drop_pipes()

    def _environment(self, channel: asyncssh.SSHServerChannel[bytes]) -> dict[str, str] | None:
        """Give what the command is started with; None: the connection is lost, which nobody has told us yet."""
        client, server = channel.get_extra_info("peername"), channel.get_extra_info("sockname")
        if client is None or server is None:
            return None
        sent = {
            name: value
            for name, value in channel.get_environment().items()
            if name == "LANG" or name.startswith("LC_")  # what Debian's sshd accepts
        }
        return {
            **self._account.environment,
            **sent,
            "SSH_CLIENT": f"{client[0]} {client[1]} {server[1]}",
            "SSH_CONNECTION": f"{client[0]} {client[1]} {server[0]} {server[1]}",
        }

    def _over(self) -> None:
        self._running.discard(self)
        self._exited.set()

    def _signal(self, name: str) -> None:
        if self._process is not None and self._returncode is None:
            with suppress(ProcessLookupError):  # it ended meanwhile, which the client is about to hear
                os.killpg(self._process.get_pid(), signal.Signals[f"SIG{name}"])

    def _drop_pipes(self) -> None:
        for output in self._outputs:
            output.close()
        self._close_stdin()

    def _close_stdin(self) -> None:
        """Close the pipe when all that came is written, and only once: asyncio's transport cannot take more."""
        stdin, self._stdin = self._stdin, None
        if stdin is not None:
            stdin.close()
            self.stdin_paused(False)

    def _finish(self) -> None:
        """Send what sshd sends at the end, in its order: the output, end of file, the exit status, close."""
        if self._channel is None or self._open_outputs:
            return
        self._channel.write_eof()
        if self._returncode is None:
            return
        self._channel.set_write_buffer_limits(high=0)
        if self._channel.get_write_buffer_size():
            return  # resume_writing() comes back here
        if self._returncode < 0:
            self._channel.exit_with_signal(_SIGNAL_NAMES.get(-self._returncode, "SIG@openssh.com"))
        else:
            self._channel.exit(self._returncode)


class _Exit(asyncio.SubprocessProtocol):
    """Hears of the process's end."""

    def __init__(self, command: Command) -> None:
        self._command = command

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def process_exited(self) -> None:
        self._command.process_exited(self._transport)


class _Output(asyncio.Protocol):
    """Reads the process's stdout or stderr."""

    def __init__(self, command: Command, datatype: int | None) -> None:
        self._command = command
        self._datatype = datatype

    def data_received(self, data: bytes) -> None:
        self._command.output(data, self._datatype)

    def connection_lost(self, exc: Exception | None) -> None:
        self._command.output_ended()


class _Input(asyncio.BaseProtocol):
    """Watches the pipe to the process's stdin."""

    def __init__(self, command: Command) -> None:
        self._command = command

    def pause_writing(self) -> None:
        self._command.stdin_paused(True)

    def resume_writing(self) -> None:
        # Later, since asyncio's transport is in the middle of a write, where it does not survive being closed.
        asyncio.get_running_loop().call_soon(self._command.stdin_paused, False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._command.stdin_ended()


def _file(fd: int, mode: str) -> IO[bytes]:
    return cast("IO[bytes]", os.fdopen(fd, mode, buffering=0))
