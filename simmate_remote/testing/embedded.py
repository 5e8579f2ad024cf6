"""A lab box without a second machine: an SSH server on loopback that runs real commands."""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self, TypeVar

import asyncssh

from simmate_remote.testing.embedded_command import Account
from simmate_remote.testing.embedded_files import write_client_files, write_inventory
from simmate_remote.testing.embedded_server import Authentication, Rules, Server, reset
from simmate_remote.testing.processes import ListeningSocket, listening_sockets, marked_processes

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from types import TracebackType

_MARK = "SIMMATE_REMOTE_EMBEDDED"
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_PATIENCE = 10.0  # seconds for what takes milliseconds
# AES in Galois/Counter mode is by far the fastest cipher on a loopback, whatever a client would prefer.
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")

T = TypeVar("T")


class EmbeddedHost:
    """Run an SSH server on loopback, with keys of its own, that behaves as a lab box's sshd does.

    ::

        with EmbeddedHost() as host:
            subprocess.run(["ssh", "-F", host.ssh_config, host.alias, "hostname"])

    It lives in a thread of this process. Commands run as the current user, with a private HOME and a clean
    environment. Whatever they start ends with the host, daemons included (on Linux; elsewhere daemons stay).

    Args:
        shell: The login shell, which gets every command after ``-c``.
        environment: Further variables that commands find.
        authentication: The only way to log in: ``publickey`` (:attr:`ssh_config` names the key), ``password``
            or ``keyboard-interactive`` (a one-time code).
        password: The right password; default: a random one.
        passphrase: What protects the user's key; default: nothing.
        prompt: The question for the one-time code.
        max_sessions: Commands at the same time on one connection, as sshd's MaxSessions.
        allow_forwarding: Whether clients may open channels to TCP ports and Unix sockets.
        banner: Noise that the login shell writes to both streams before every command.

    Attributes:
        alias: What to type after ``ssh -F ssh_config``.
        python: The interpreter that commands may use: the one that runs now.
        password: The right password.
        ssh_config: The ssh_config file for it.
        home: HOME there.
        port: The TCP port on 127.0.0.1.
    """

    alias = "lab-box"
    python = sys.executable

    def __init__(
        self,
        *,
        shell: str | Path = "/bin/sh",
        environment: Mapping[str, str] | None = None,
        authentication: Authentication = "publickey",
        password: str | None = None,
        passphrase: str | None = None,
        prompt: str = "One-time code: ",
        max_sessions: int = 10,
        allow_forwarding: bool = True,
        banner: str = "",
    ) -> None:
        self.password = password or secrets.token_urlsafe(12)
        self._mark = secrets.token_hex(8)
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._listener: asyncssh.SSHAcceptor | None = None
        with ExitStack() as undo:
            folder = Path(undo.enter_context(TemporaryDirectory(prefix="lab-box-", dir=_short_folder())))
            self.home = folder / "home"
            self.home.mkdir(mode=0o700)
            self._reserved = _bound(0)
            undo.callback(self._release_port)
            self.port: int = self._reserved.getsockname()[1]
            self._rules = Rules(
                user=pwd.getpwuid(os.getuid()).pw_name,
                user_key=asyncssh.generate_private_key("ssh-ed25519"),
                account=Account(Path(shell), self.home, self._environment(shell, environment), banner),
                authentication=authentication,
                password=self.password,
                prompt=prompt,
                max_sessions=max_sessions,
                allow_forwarding=allow_forwarding,
            )
            self.ssh_config = write_client_files(
                folder,
                alias=self.alias,
                port=self.port,
                user=self._rules.user,
                user_key=self._rules.user_key,
                host_key=self._host_key,
                passphrase=passphrase,
            )
            self._loop = asyncio.new_event_loop()
            undo.callback(self._loop.close)
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        thread = threading.Thread(target=self._loop.run_forever, name=f"{self.alias} sshd", daemon=True)
        thread.start()
        self._undo.callback(thread.join, _PATIENCE)
        self._undo.callback(self._loop.call_soon_threadsafe, self._loop.stop)
        self._undo.callback(self._end_processes)
        self._undo.callback(self.cut)
        self._undo.callback(self.refuse)
        self.accept()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    @property
    def code(self) -> str:
        """The one-time code that the next login by ``keyboard-interactive`` needs."""
        return self._rules.code

    @property
    def logins(self) -> int:
        """How many times somebody has logged in so far."""
        # Read in the server's thread: a client may hear of its success before the server has counted it.
        return self._call(self._count_logins())

    @property
    def connections(self) -> int:
        """How many TCP connections there have been so far, with a login or without."""
        return self._rules.connection_count

    def processes(self) -> list[tuple[int, list[str]]]:
        """List process id and command line of everything that commands have started and that still lives.

        Daemons are found too, by a variable in their environment. Empty on systems without ``/proc``.
        """
        return marked_processes(_MARK, self._mark)

    def sockets(self) -> list[ListeningSocket]:
        """List the TCP and Unix sockets on which those processes listen."""
        return listening_sockets([pid for pid, _ in self.processes()])

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command there as SSH would, but without SSH, and wait for it.

        Args:
            command: What the login shell gets.

        Returns:
            Exit status, stdout and stderr.
        """
        account = self._rules.account
        return subprocess.run(
            account.argv(command),
            check=False,
            cwd=account.home,
            env=dict(account.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def inventory(self, folder: Path) -> Path:
        """Write the inventory's entry for this host.

        Args:
            folder: The inventory; made if need be.

        Returns:
            The entry's file.
        """
        files = self.home / "simmate-remote"
        return write_inventory(folder, alias=self.alias, ssh_config=self.ssh_config, python=self.python, files=files)

    def refuse(self) -> None:
        """Refuse new connections, as while sshd is stopped; those that exist stay."""
        self._call(self._refuse())

    def accept(self) -> None:
        """Accept connections again, at the same port."""
        self._call(self._accept())

    def cut(self) -> None:
        """Break every connection at once by a TCP reset; commands see no more of it than the end of their pipes."""
        self._call(self._cut())

    def change_host_key(self) -> None:
        """Show another host key from now on; the known_hosts file of :attr:`ssh_config` keeps the old one."""
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        if self._listener is not None:
            self._listener.update(server_host_keys=[self._host_key])

    def close(self) -> None:
        """Stop the server, end everything that was started there, and remove its files."""
        self._undo.close()

    def _environment(self, shell: str | Path, further: Mapping[str, str] | None) -> dict[str, str]:
        user = pwd.getpwuid(os.getuid()).pw_name
        return {
            "HOME": str(self.home),
            "USER": user,
            "LOGNAME": user,
            "PATH": _PATH,
            "SHELL": str(shell),
            **(further or {}),
            _MARK: self._mark,
        }

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    async def _accept(self) -> None:
        if self._listener is None:
            self._listener = await asyncssh.listen(
                sock=self._reserved,
                server_factory=lambda: Server(self._rules),
                server_host_keys=[self._host_key],
                encryption_algs=_CIPHERS,
                compression_algs=["none"],
                encoding=None,
                line_editor=False,
                config=None,
            )

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            # A socket that is bound and does not listen refuses clients, and keeps the port ours.
            self._reserved = _bound(self.port)

    def _release_port(self) -> None:
        self._reserved.close()

    async def _cut(self) -> None:
        for connection in list(self._rules.connections):
            reset(connection)

    async def _count_logins(self) -> int:
        return self._rules.login_count

    async def _end_commands(self) -> None:
        for command in list(self._rules.running):
            await command.end()

    def _end_processes(self) -> None:
        self._call(self._end_commands())
        deadline = time.monotonic() + _PATIENCE
        while (living := self.processes()) and time.monotonic() < deadline:
            for pid, _ in living:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)


def _short_folder() -> str | None:
    # A Unix socket's path may have 107 bytes (103 on macOS), and what runs there puts sockets below its HOME.
    return "/tmp" if os.access("/tmp", os.W_OK) else None  # noqa: S108 (mkdtemp makes a private folder there)


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
