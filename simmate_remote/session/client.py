"""The small client of sessions: find the one of a host, start it if there is none, and talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from simmate_remote.errors import NoSessionError, Remedy, SessionError, SessionStoppedError, SimmateRemoteError
from simmate_remote.inventory.models import Host
from simmate_remote.link import Ask, Prompt
from simmate_remote.session.order import LISTENING, SessionOrder
from simmate_remote.session.paths import all_sockets, log_path, owner_of, socket_path
from simmate_remote.session.starting import start_session
from simmate_remote.streams.calls import Caller

START_TIMEOUT = 30.0
SOL_LOCAL, LOCAL_PEERPID = 0, 2
"""Numbers of macOS's sys/un.h."""


class SessionClient:
    """A connection to a session; :func:`find`, :func:`find_or_start` and :func:`find_all` make it.

    Args:
        host: The host's name.
        caller: The calls of the control socket.
        connection: That socket.
        started: Whether this process started the session.
        log: The session's log.
    """

    def __init__(self, host: str, caller: Caller, connection: socket.socket, *, started: bool, log: Path) -> None:
        self.host = host
        self.started = started
        self._caller = caller
        self._connection = connection
        self._log = log

    async def follow(self, ask: Ask | None = None, step: Callable[[str], None] = lambda _: None) -> None:
        """Wait until the session is connected.

        Args:
            ask: Answers the questions that come up; without it, what needs a person fails.
            step: Told what is being done.

        Raises:
            SimmateRemoteError: It could not connect.
        """

        async def answer(prompt: dict[str, Any]) -> str | None:
            assert ask is not None
            return await ask(Prompt(**prompt))

        if ask is not None:
            self._caller.handlers["ask"] = answer
        async for text in self._caller.items("follow", answers=ask is not None):
            step(text)

    async def is_welcome(self) -> bool:
        """Ask whether the session takes this client, and let go of it if not: it may be in its last moments."""
        try:
            if await self._caller.call("takes_clients"):
                return True
        except SessionStoppedError:
            pass
        self.close()
        return False

    async def status(self) -> dict[str, Any]:
        """Ask what the session is doing."""
        report: dict[str, Any] = await self._caller.call("status")
        return report

    async def there(self) -> dict[str, Any]:
        """Ask what runs on the host."""
        report: dict[str, Any] = await self._caller.call("there")
        return report

    async def own(self) -> None:
        """Let the session end with this process."""
        await self._caller.call("own")

    async def last(self, *, for_runs: bool = False) -> None:
        """Let the session outlive its maker.

        Args:
            for_runs: Whether only for as long as a run on the host is unfinished.
        """
        await self._caller.call("last", for_runs=for_runs)

    async def access(self) -> dict[str, Any]:
        """Ask for what a Dask client needs."""
        access: dict[str, Any] = await self._caller.call("access")
        return access

    async def scale(self, n: int, memory: str | None = None, cores: int | None = None) -> None:
        """Have so many workers."""
        await self._caller.call("scale", n=n, memory=memory, cores=cores)

    async def adapt(self, **options: Any) -> None:
        """Have as many workers as the work needs."""
        await self._caller.call("adapt", options=options)

    async def lend(self, target: str, path: str) -> str:
        """Let processes on the host connect to a Unix socket of this machine.

        Args:
            target: What it shall be called; small letters, digits and hyphens.
            path: The socket here. It is lent for as long as the session lives.

        Returns:
            The path of the socket there that leads to it.
        """
        return str(await self._caller.call("lend", target=target, path=path))

    async def open_desk(self, path: Path) -> None:
        """Let connections to a Unix socket here be to the host's desk for runs.

        Args:
            path: Where the socket shall be; :func:`simmate_remote.session.paths.desk_path` says.
        """
        await self._caller.call("open_desk", path=str(path))

    async def news(self, patience: float) -> dict[str, Any] | None:
        """Ask what became of the host's runs since somebody was told, and take note that it is told now.

        Args:
            patience: Seconds to wait until all is collected.

        Returns:
            What :func:`simmate_remote.runs.news.take_news` gives; None: there is nothing to tell.
        """
        news: dict[str, Any] | None = await self._caller.call("news", patience=patience)
        return news

    async def away(self) -> dict[str, Any]:
        """Ask how the link was, and what died on the host, since somebody was told; it is told now.

        Returns:
            What :meth:`simmate_remote.session.state.Progress.take_away` gives, and ``deaths``.
        """
        away: dict[str, Any] = await self._caller.call("away")
        return away

    async def deliver(self) -> dict[str, str]:
        """Let the host be told which runs are to be cancelled, as soon as it can be reached.

        Returns:
            How each of them stands then.
        """
        states: dict[str, str] = await self._caller.call("deliver")
        return states

    def deliver_later(self) -> None:
        """Do as :meth:`deliver` does, and do not wait for it."""
        self._caller.tell("deliver")

    async def open_errand(self, module: str, path: Path) -> None:
        """Let connections to a Unix socket here be to a module of ours that starts on the host.

        Args:
            module: A module below a ``host`` package.
            path: Where the socket shall be; :func:`simmate_remote.session.paths.errand_path` says.
        """
        await self._caller.call("open_errand", module=module, path=str(path))

    def logs(self, names: list[str] | None, last: int, *, follow: bool) -> AsyncIterator[dict[str, str]]:
        """Yield pieces of the host's logs, each with its process's ``name`` and ``text``."""
        return self._caller.items("logs", names=names, last=last, follow=follow)

    async def stop(self, *, end_everything: bool | None = None) -> bool:
        """End the session, and with it what it has on the host, or not; default: unless that is meant to last.

        Returns:
            Whether everything on the host has ended.
        """
        return bool(await self._caller.call("stop", end_everything=end_everything))

    async def use_agent(self, path: str) -> None:
        """Let the session use this SSH agent from now on.

        Args:
            path: The agent's socket.
        """
        await self._caller.call("use_agent", path=path)

    async def wait_stopped(self, change: Callable[[dict[str, Any]], None] = lambda _: None) -> SimmateRemoteError:
        """Wait until the session is gone, and give the reason.

        Args:
            change: Told of each state that it enters meanwhile, as ``status`` shows it.
        """
        try:
            async for report in self._caller.items("changes"):
                change(report)
        except SimmateRemoteError as error:
            return error
        return SessionStoppedError("the session ended", host=self.host)

    def hung_up(self, seconds: float) -> bool:
        """Wait, without the event loop, for the end of the connection to the session, and give whether it came.

        Args:
            seconds: How long.
        """
        if self.gone:
            return True
        watch = select.poll()
        watch.register(self._connection, 0)  # its end is told in any case
        return bool(watch.poll(seconds * 1000))

    def death(self) -> SessionStoppedError:
        """Describe the end of a session that did not say a word of it."""
        return _death(self.host, self._log)

    def kill(self) -> None:
        """Kill the session process, which does not answer; the host is told nothing."""
        # By the kernel's word on who is at the other end: its number is nobody else's as long as that is open.
        with contextlib.suppress(ProcessLookupError):
            os.kill(_process_behind(self._connection), signal.SIGKILL)

    @property
    def gone(self) -> bool:
        """Whether the connection to the session has ended, as far as this process has noticed."""
        return self._caller.closed.is_set()

    def close(self) -> None:
        """Let go of the session."""
        self._caller.close()

    def notice_end(self) -> None:
        """Tell the session that its end has been dealt with here, so that it may close its connections."""
        self._caller.tell("notice")

    async def wait_closed(self) -> None:
        """Wait until the connection to the session is closed."""
        await self._caller.closed.wait()


async def find(host: Host) -> SessionClient:
    """Connect to the session of a host.

    Raises:
        NoSessionError: There is none.
    """
    client = await _connect(socket_path(host), host.name)
    if client is None:
        raise no_session(host)
    return client


def no_session(host: Host) -> NoSessionError:
    """Say that nothing is connected to a host."""
    return NoSessionError(
        "nothing is connected to this host",
        host=host.name,
        remedies=(Remedy(f"simmate-remote connect {host.name}"),),
    )


async def find_or_start(host: Host, *, here: bool = False) -> SessionClient:
    """Connect to the session of a host, and start it if there is none.

    A session that is started ends soon unless somebody owns it, or makes it last.

    Args:
        host: The host.
        here: Whether a new session starts afresh where its login leads, although another machine behind the name has
            what an earlier one left.

    Raises:
        SessionError: It could not be started.
    """
    path = socket_path(host)
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        client, started = await _connect(path, host.name), False
        if client is None:
            client, started = await _start_one(host, path, SessionOrder.of(host, owner_of(host), here=here))
        if client is not None and (started or await client.is_welcome()):
            return client
        if started or time.monotonic() > deadline:
            raise _did_not_start("the session process ended as soon as it had started", host, path)
        # The session before this one is in its last moments.
        await asyncio.sleep(0.1)


async def _start_one(host: Host, path: Path, order: SessionOrder) -> tuple[SessionClient | None, bool]:
    """Start a session, and give it and whether it is the one, or another was quicker; given up, none is left."""

    async def start() -> tuple[SessionClient | None, bool]:
        word = await asyncio.to_thread(start_session, path, order)
        if not word:
            raise _did_not_start("the session process died before it had begun", host, path)
        return await _connect(path, host.name, started=word == LISTENING), word == LISTENING

    starting = asyncio.create_task(start())
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # Nobody else knows of it, and it would log in all the same.
        with contextlib.suppress(SimmateRemoteError):
            client, started = await starting
            if client is not None and started:
                await client.stop()
        raise


async def find_all() -> list[SessionClient]:
    """Connect to every session of this user; dead ones' sockets are removed."""
    clients = [(path, await _connect(path, _name_of(path))) for path in all_sockets()]
    for path, client in clients:
        if client is None:
            _remove_if_dead(path)
    return [client for _, client in clients if client is not None]


def _did_not_start(what: str, host: Host, path: Path) -> SessionError:
    return SessionError(
        what,
        host=host.name,
        remedies=(
            Remedy(f"simmate-remote connect {host.name}", "tries again"),
            Remedy("simmate-remote doctor", "looks at this machine"),
        ),
        detail=_tail(log_path(path)),
    )


def _name_of(path: Path) -> str:
    """Give the name of the host whose session has a socket, also where it does not answer."""
    with contextlib.suppress(OSError, UnicodeError):
        if name := path.with_suffix(".lock").read_text(encoding="utf-8"):
            return name
    return path.stem.rpartition("-")[0]


def _remove_if_dead(path: Path) -> None:
    """Remove a socket at which nobody answers, unless a session is just about to, or does not find the time."""
    with contextlib.suppress(OSError), path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)


async def _connect(path: Path, host: str, *, started: bool = False) -> SessionClient | None:
    log = log_path(path)
    try:
        transport, caller = await asyncio.get_running_loop().create_unix_connection(
            lambda: Caller(lost=lambda: _death(host, log)), str(path)
        )
    except OSError:
        return None
    return SessionClient(host, caller, transport.get_extra_info("socket"), started=started, log=log)


def _process_behind(connection: socket.socket) -> int:
    """Give the number of the process that listens at the other end of a Unix socket (unix(7); unix(4) of macOS)."""
    if sys.platform == "darwin":
        return connection.getsockopt(SOL_LOCAL, LOCAL_PEERPID)
    return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


def _death(host: str, log: Path) -> SessionStoppedError:
    return SessionStoppedError(
        "the session process, which holds the connection on this machine, died without a word",
        host=host,
        meanwhile="scheduler and workers on the host go on; Dask there drops what only this program wanted",
        remedies=(Remedy(f"simmate-remote connect {host}", "finds them again"),),
        detail=_tail(log),
    )


def _tail(path: Path, size: int = 2000) -> str | None:
    try:
        return path.read_bytes()[-size:].decode(errors="replace").strip() or None
    except OSError:
        return None
