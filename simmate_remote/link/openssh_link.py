"""The link through the system's ``ssh``: all that ssh_config can say, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import cast

from simmate_remote.errors import ConnectTimeoutError, ForbiddenByServerError, LinkLostError, Remedy, SSHConfigError
from simmate_remote.link import failures, refusals
from simmate_remote.link.base import Ask, Link, LinkReport, ProtocolT
from simmate_remote.link.hop import Hop
from simmate_remote.link.openssh import messages
from simmate_remote.link.openssh.channel import Channel
from simmate_remote.link.openssh.folder import SocketFolder
from simmate_remote.link.openssh.login import Login
from simmate_remote.link.openssh.passenger import Passenger
from simmate_remote.link.openssh.trace import Trace
from simmate_remote.link.openssh.wire import Control, RefusedError, Wire
from simmate_remote.link.text import printable

_FAREWELL = 2.0  # seconds for the master to end
_LAST_WORDS = 0.2  # seconds for what it still prints about its end


class OpenSSHLink(Link):
    """One login by a master process of ``ssh``: our own one, or the user's.

    Args:
        way: The machines that were logged in to; the last one is the host.
        path: The master's control socket.
        control: A connection to it, whose end is the end of the link, and whose existence keeps our own master alive.
        trace: What our own master prints; ``None`` for the user's.
        folder: The folder of our own master's socket.
    """

    def __init__(
        self, way: Sequence[Hop], path: Path, control: Control, trace: Trace | None, folder: SocketFolder | None
    ) -> None:
        hop = way[-1]
        self.destination = hop.destination
        self.report = LinkReport(user=hop.settings.user, address=hop.address, shared=trace is None)
        if trace is not None:
            self.report.server = trace.now.server
            self.report.methods = list(dict.fromkeys(trace.now.tried))
        self._hop = hop
        self._path = path
        self._control = control
        self._trace = trace
        self._folder = folder
        self._lost: asyncio.Future[LinkLostError] = asyncio.get_running_loop().create_future()
        self._carriers: weakref.WeakSet[Passenger | Channel] = weakref.WeakSet()
        self._wires: weakref.WeakSet[Wire] = weakref.WeakSet()
        self._ending: asyncio.Task[None] | None = None
        control.wire.lost = self._master_ended
        control.wire.tell_if_lost()

    @classmethod
    async def connect(cls, way: Sequence[Hop], ask: Ask | None = None) -> OpenSSHLink:
        """Log in to a host, over its jump hosts if it has any, or use the login that the user has there.

        Args:
            way: The machines; the last one is the host.
            ask: Answers the questions that only a person can answer; without it, nobody can be asked.

        Raises:
            LinkError: One of its subclasses for each way to fail; nothing is left open then.
        """
        if shutil.which("ssh") is None:
            host = way[-1].destination.host
            raise SSHConfigError(
                "there is no ssh program on this machine, and `link: openssh` needs one",
                host=host,
                meanwhile="nothing was contacted",
                remedies=(Remedy(f"simmate-remote hosts show {host}", "`link: asyncssh` needs no program"),),
            )
        return await cls._share(way) or await cls._log_in(way, ask)

    @classmethod
    async def _share(cls, way: Sequence[Hop]) -> OpenSSHLink | None:
        """Use the user's own master, if there is one that lets us in."""
        configured = way[-1].settings.value("controlpath")
        if not configured or not _is_ours(Path(configured)):
            return None
        path = Path(configured)
        try:
            link = cls(way, path, await Control.dial(path), None, None)
        except (OSError, TimeoutError):
            return None
        try:
            # A master whose network has gone still answers what it can answer itself, so it has to do something.
            carrier, _ = await link.open_command(":", asyncio.Protocol)
            carrier.abort()
        except (ForbiddenByServerError, ConnectTimeoutError, LinkLostError):
            await link.close()
            return None
        return link

    @classmethod
    async def _log_in(cls, way: Sequence[Hop], ask: Ask | None) -> OpenSSHLink:
        folder = SocketFolder()
        try:
            login = Login(way, folder.path, ask)
            await login.run()
            try:
                control = await Control.dial(login.control)
            except (OSError, TimeoutError) as error:
                await login.trace.close()
                raise failures.broken_off(way[-1], login.trace.words() or str(error), failures.LOGGING_IN) from error
        except BaseException:
            folder.remove()
            raise
        return cls(way, login.control, control, login.trace, folder)

    async def open_command(
        self, command: str, protocol_factory: Callable[[], ProtocolT]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        return await self._open_session(command, protocol_factory, subsystem=False)

    async def open_subsystem(
        self, name: str, protocol_factory: Callable[[], ProtocolT]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        return await self._open_session(name, protocol_factory, subsystem=True)

    async def _open_session(
        self, command: str, protocol_factory: Callable[[], ProtocolT], *, subsystem: bool
    ) -> tuple[asyncio.Transport, ProtocolT]:
        environment = self._hop.settings.environment()
        try:
            async with self._opening():
                carrier = await Passenger.start(
                    self._path, command, environment, self._verdict, protocol_factory, subsystem=subsystem
                )
        except RefusedError as error:
            raise refusals.command_forbidden(self._hop, printable(str(error))) from error
        self._carriers.add(carrier)
        return carrier, cast(ProtocolT, carrier.get_protocol())

    async def open_socket(
        self, path: str, protocol_factory: Callable[[], ProtocolT]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        if self.report.shared:
            raise refusals.socket_forbidden(self._hop, path, "through the user's own master, only commands are run")
        try:
            async with self._opening():
                carrier = await Channel.open(self._path, path, self._wires.add, self._tell_reason)
        except RefusedError as error:
            raise refusals.socket_forbidden(self._hop, path, printable(str(error))) from error
        protocol = protocol_factory()
        carrier.begin(protocol)
        self._carriers.add(carrier)
        return carrier, protocol

    async def wait_lost(self) -> LinkLostError:
        return await asyncio.shield(self._lost)

    async def close(self) -> None:
        self._finish(LinkLostError("the link was closed", host=self.destination.host))
        if self._trace is not None and not self._control.wire.is_lost:
            await self._end_master()
        for carrier in list(self._carriers):
            carrier.lose(self._lost.result())
            carrier.release()
        for wire in [self._control.wire, *self._wires]:
            wire.abort()
        if self._ending is not None:
            await self._ending
        if self._trace is not None:
            await self._trace.close()
        if self._folder is not None:
            self._folder.remove()
        await asyncio.sleep(0)  # a transport that was aborted closes its socket in the loop's next round

    async def _end_master(self) -> None:
        try:
            _, alive = await self._control.ask(messages.ALIVE_CHECK)
            process = alive.number()
            ended = asyncio.Event()
            self._control.wire.lost = ended.set
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await self._control.ask(messages.TERMINATE)
                    await ended.wait()
            if not ended.is_set():
                # It still holds our connection, so this number is still its own.
                os.kill(process, signal.SIGKILL)
        except (OSError, TimeoutError, ValueError):
            return  # it has ended, or ends by itself as soon as our connection to it is gone

    # Inside

    @contextlib.asynccontextmanager
    async def _opening(self) -> AsyncGenerator[None]:
        """Wait for a channel, not longer than a step may take."""
        if self._lost.done():
            raise self._lost.result()
        try:
            async with asyncio.timeout(self._hop.patience):
                yield
        except TimeoutError as error:
            raise failures.timed_out(self._hop, "opening a channel") from error
        except OSError as error:
            self._master_ended()
            raise await self.wait_lost() from error

    async def _verdict(self) -> LinkLostError | None:
        """Give the reason why the link is lost, or ``None`` if it stands."""
        if not self._lost.done():
            try:
                await self._control.ask(messages.ALIVE_CHECK)
            except (OSError, TimeoutError):
                self._master_ended()
            else:
                return None
        return await self.wait_lost()

    def _tell_reason(self, tell: Callable[[Exception], None]) -> None:
        """Call back with the reason why the link is lost, as soon as it is known."""
        self._master_ended()
        self._lost.add_done_callback(lambda lost: tell(lost.result()))

    def _master_ended(self) -> None:
        if self._ending is None and not self._lost.done():
            self._ending = asyncio.create_task(self._find_reason())

    async def _find_reason(self) -> None:
        why = "the ssh program that held it has ended"
        if self._trace is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    await self._trace.ended.wait()
            said = self._trace.now.said[-1:]
            why = said[0] if said else why
            if "not responding" in why:
                why = f"the server left every keepalive question unanswered: {why}"
        self._finish(refusals.lost(self._hop, why))
        self._control.wire.abort()

    def _finish(self, reason: LinkLostError) -> None:
        """Set the reason; only the first one counts."""
        if not self._lost.done():
            self._lost.set_result(reason)


def _is_ours(path: Path) -> bool:
    """Say whether nobody else can listen at a control socket."""
    try:
        return path.is_socket() and path.stat().st_uid == os.getuid()
    except OSError:
        return False
