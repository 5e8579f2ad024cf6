"""The seam behind which all of SSH stands: a link is one login, and gives carriers.

A *carrier* is a pair of byte pipes to a process on the host. Its interface is asyncio's own: a transport that is
written to, and a protocol that is told what arrives. So an asyncssh channel, the pipes of an ``ssh`` program and a
Unix socket in a test all fit, and no layer in between copies bytes.
"""

from __future__ import annotations

import abc
import asyncio
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from simmate_remote.errors import LinkLostError

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


@dataclass(frozen=True)
class Prompt:
    """A question that only a person can answer, in the terminal that typed ``connect`` or through a callback.

    Args:
        kind: ``password``, ``passphrase`` (of a key; or a PIN), ``code`` (keyboard-interactive), ``host-key``,
            ``consent`` (to a change of a person's files; wants ``yes``), or ``notice``: something to do, such as to
            touch a key. A notice wants no answer; it is over when the call is cancelled.
        text: The question, as the server or the key asks it; control characters are already taken out.
        echo: Whether the answer may be shown while it is typed.
        detail: Lines to show before the question (a server's instructions; the fingerprint of a host key).
    """

    kind: Literal["password", "passphrase", "code", "host-key", "consent", "notice"]
    text: str
    echo: bool = False
    detail: str = ""


Ask = Callable[[Prompt], Awaitable[str | None]]
"""Answers a prompt; ``None`` means that nobody can be asked, or that the person declined. A host key wants ``yes``."""


@dataclass(frozen=True)
class Destination:
    """Where a link goes.

    Args:
        host: The inventory's name of the host, for messages.
        ssh: What a user would type after ``ssh``: an alias of ~/.ssh/config, ``user@name``, or ``ssh://user@name:port``.
        config: The ssh_config file that resolves it; ``None`` is the user's own, after it the system's.
        keepalive_interval: Seconds of silence after which the server is asked whether it is there.
        keepalive_tries: Unanswered questions after which the link is lost.
        connect_timeout: Seconds for each step that waits for the server and not for a person.
        link: Which kind: asyncssh, or the ``ssh`` program.
        impatient: Whether to knock again each second while nothing answers, and not only when TCP itself does: what is
            lost comes back at any time. The ``ssh`` program is given one second, and is to be started again after it.
        node: Address and port of one of several machines behind the name; None: whichever answers. Its host key is
            looked up by the name.
    """

    host: str
    ssh: str
    config: str | None = None
    keepalive_interval: float = 5.0
    keepalive_tries: int = 3
    connect_timeout: float = 20.0
    link: Literal["asyncssh", "openssh"] = "asyncssh"
    impatient: bool = False
    node: tuple[str, int] | None = None

    def ssh_command(self) -> str:
        """Compose the command that logs in there by hand; what shall run there may follow it."""
        config = ["-F", self.config] if self.config is not None else []
        return shlex.join(["ssh", *config, self.ssh])


class Link(abc.ABC):
    """One authenticated login at a host.

    Attributes:
        destination: Where it goes.
        report: What the login showed.
    """

    destination: Destination
    report: LinkReport

    @abc.abstractmethod
    async def open_command(
        self, command: str, protocol_factory: Callable[[], ProtocolT]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        """Run a command in the user's login shell and give its stdin and stdout as a carrier.

        What the command writes to stderr is kept (its last 64 kB) in the transport's ``get_extra_info("stderr")``, a
        ``bytearray``; ``get_extra_info("exit_status")`` is ``None`` until the command has ended.

        Raises:
            ForbiddenByServerError: The server allows no command, or no further session.
            LinkLostError: The link is gone.
        """

    @abc.abstractmethod
    async def open_subsystem(
        self, name: str, protocol_factory: Callable[[], ProtocolT]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        """Start one of the server's subsystems, such as ``sftp``, and give its stdin and stdout as a carrier.

        One that the server does not have is an error, or a carrier that ends without a byte.

        Raises:
            ForbiddenByServerError: The server has no such subsystem, or allows no further session.
            LinkLostError: The link is gone.
        """

    @abc.abstractmethod
    async def open_socket(
        self, path: str, protocol_factory: Callable[[], ProtocolT]
    ) -> tuple[asyncio.Transport, ProtocolT]:
        """Open a channel to a Unix socket on the host.

        Raises:
            ForbiddenByServerError: The server forbids forwarding, or nothing listens there.
            LinkLostError: The link is gone.
        """

    @abc.abstractmethod
    async def wait_lost(self) -> LinkLostError:
        """Wait until the link is gone for any reason, ``close`` included, and return that reason."""

    @abc.abstractmethod
    async def close(self) -> None:
        """End the login; carriers of it are lost. Never raises, and ends within seconds."""


@dataclass
class LinkReport:
    """What a login showed, for ``status`` and for error messages.

    Args:
        server: The server's version string, like ``SSH-2.0-OpenSSH_9.2p1``.
        user: The name that was logged in with.
        address: The address and port of the last hop.
        methods: Authentication methods that were tried, in order.
        shared: Whether the login is the user's own (a ControlMaster of the ``ssh`` program), which we do not end.
    """

    server: str = ""
    user: str = ""
    address: str = ""
    methods: list[str] = field(default_factory=list)
    shared: bool = False
