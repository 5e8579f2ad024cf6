"""The first bytes: reach a machine over TCP or a ProxyCommand, and hear its greeting; nothing here needs asyncssh."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from simmate_remote.link.hop import Hop

_GREETING_KEPT = 16 * 1024
_BETWEEN_KNOCKS = 1.0  # seconds
_TURNS_FOR_A_PACKET = 5
"""Turns of the event loop until asyncssh has taken a packet, and told what came of it; it needs three."""


class Greeting(asyncio.Protocol):
    """Hold what a server says first, so that words before its version are not lost, then hand the pipe over."""

    def __init__(self) -> None:
        self.said = bytearray()
        self.complete = asyncio.Event()
        self.closed = False
        self.error: Exception | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.said += data
        if self.is_ssh or len(self.said) > _GREETING_KEPT:
            self.transport.pause_reading()
            self.complete.set()

    def eof_received(self) -> bool:
        self.closed = True
        self.complete.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.error = exc
        self.complete.set()

    @property
    def is_ssh(self) -> bool:
        """Whether a line with an SSH version came."""
        return any(line.startswith(b"SSH-") for line in self.said.split(b"\n")[:-1])

    async def create_connection(
        self, session_factory: Callable[[], Any], remote_host: str, remote_port: int
    ) -> tuple[asyncio.Transport, Any]:
        """Give the pipe to asyncssh, which calls this as it would on a connection that it tunnels through."""
        connection = session_factory()
        _let_the_end_wait(connection)
        self.transport.set_protocol(connection)
        connection.connection_made(self.transport)
        connection.data_received(bytes(self.said))
        if self.closed:
            connection.connection_lost(self.error)
        else:
            self.transport.resume_reading()
        return self.transport, connection

    def close(self) -> None:
        """Give up."""
        self.transport.abort()

    async def wait_closed(self) -> None:
        """Return at once: the pipe needs no farewell."""


def _let_the_end_wait(connection: Any) -> None:
    """Let the end of a connection not overtake what was said before it: asyncssh takes its packets in tasks.

    A server that finds no algorithm in common says which it has and hangs up; without this, only the second is heard.
    """
    loop, lost = asyncio.get_running_loop(), connection.connection_lost

    def tell(exc: Exception | None, turns: int) -> None:
        if turns:
            loop.call_soon(tell, exc, turns - 1)
        else:
            lost(exc)

    connection.connection_lost = lambda exc=None: tell(exc, _TURNS_FOR_A_PACKET)


async def open_tcp(hop: Hop) -> Greeting:
    """Connect to a machine, address after address.

    Raises:
        socket.gaierror: The name has no address.
        OSError: No address can be reached; the error is the most telling one of all addresses.
    """
    loop = asyncio.get_running_loop()
    settings = hop.settings
    family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(settings.value("addressfamily"), socket.AF_UNSPEC)
    try:
        addresses = await loop.getaddrinfo(settings.host, settings.port, family=family, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, f"{settings.host!r} is not a name that can be looked up") from error
    errors: list[OSError] = []
    for left, (family, kind, _, _, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        try:
            # The last address has all the time that is left; those before it share.
            async with asyncio.timeout(None if left == 1 else hop.patience / len(addresses)):
                pipe = await _knock(hop, family, kind, address)
        except OSError as error:
            errors.append(error)
        else:
            _, greeting = await loop.create_connection(Greeting, sock=pipe)
            return greeting
    refused = [error for error in errors if isinstance(error, ConnectionRefusedError)]
    raise (refused or errors)[0]


async def _knock(hop: Hop, family: int, kind: int, address: Any) -> socket.socket:
    """Connect to one address; if the destination is impatient, once more each second until one of all connects.

    TCP itself would ask at ever longer intervals, and notice a network that is back only when it asks again.
    """
    knocks: set[asyncio.Task[socket.socket]] = set()
    answered: set[asyncio.Task[socket.socket]] = set()
    try:
        while not answered:
            knocks.add(asyncio.create_task(_open_socket(hop, family, kind, address)))
            pause = _BETWEEN_KNOCKS if hop.destination.impatient else None
            answered, _ = await asyncio.wait(knocks, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        first = answered.pop()
        knocks.remove(first)
        return first.result()
    finally:
        for knock in knocks:
            knock.cancel()
        for late in await asyncio.gather(*knocks, return_exceptions=True):
            if isinstance(late, socket.socket):
                late.close()


async def _open_socket(hop: Hop, family: int, kind: int, address: Any) -> socket.socket:
    pipe = socket.socket(family, kind)
    try:
        pipe.setblocking(False)
        if source := hop.settings.value("bindaddress"):
            pipe.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(pipe, address)
    except BaseException:
        pipe.close()
        raise
    return pipe


class Dialled:
    """A connection to the first machine on the way, begun while what will talk over it is still being imported.

    Its server starts a process for it meanwhile, and has said its version when somebody is there to hear it.

    Args:
        hop: The machine.
    """

    def __init__(self, hop: Hop) -> None:
        self._opening: asyncio.Task[Greeting] | None = asyncio.create_task(open_tcp(hop))

    async def take(self) -> Greeting | None:
        """Give the pipe, once: whoever needs another has to dial again.

        Raises:
            OSError: What :func:`open_tcp` raises.
        """
        opening, self._opening = self._opening, None
        return None if opening is None else await opening

    async def close(self) -> None:
        """Hang up, unless somebody has taken it."""
        if self._opening is None:
            return
        self._opening.cancel()
        await asyncio.wait({self._opening})
        if not self._opening.cancelled() and self._opening.exception() is None:
            self._opening.result().close()


class ProxyCommand:
    """A running ProxyCommand."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said = bytearray()
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, command: str) -> tuple[ProxyCommand, Greeting]:
        """Start the command in the user's shell, as ssh does, with a socket for its stdin and stdout.

        Raises:
            OSError: It cannot be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    os.environ.get("SHELL") or "/bin/sh",
                    "-c",
                    f"exec {command}",
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=asyncio.subprocess.PIPE,
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        _, greeting = await asyncio.get_running_loop().create_connection(Greeting, sock=ours)
        return cls(process), greeting

    async def close(self) -> None:
        """End the command and what it started; within two seconds."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if self._process.returncode is None:
                try:
                    os.killpg(self._process.pid, sign)
                except ProcessLookupError:
                    break
                try:
                    async with asyncio.timeout(1):
                        await self._process.wait()
                except TimeoutError:
                    continue
        self._listening.cancel()
        await asyncio.wait([self._listening])

    async def last_words(self) -> str:
        """Return the end of what it wrote to stderr, after it ended or half a second."""
        await asyncio.wait([self._listening], timeout=0.5)
        return self.said.decode(errors="replace").strip()

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(4096):
            self.said += data
            del self.said[:-4096]
