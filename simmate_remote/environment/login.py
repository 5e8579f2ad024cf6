"""One login by Fabric and paramiko, for what is a script: commands that are run one after another, in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import paramiko
from asyncssh.public_key import decode_ssh_public_key
from fabric import Config, Connection
from paramiko.ssh_exception import IncompatiblePeer

from simmate_remote.environment.authentication import Strategy, Transport, Wait, waiting_in
from simmate_remote.environment.proxy_command import ProxyCommand
from simmate_remote.errors import SimmateRemoteError
from simmate_remote.link import failures
from simmate_remote.link.algorithms import host_key_algorithms
from simmate_remote.link.base import Ask, Destination
from simmate_remote.link.hop import Hop
from simmate_remote.link.host_keys import ask_about_key, describe, read_known_hosts
from simmate_remote.link.keys import KeyRing, Unlocked
from simmate_remote.link.known_hosts import KnownHosts, Standing
from simmate_remote.link.patience import Patience
from simmate_remote.link.questions import Questions
from simmate_remote.link.route import find_route
from simmate_remote.link.text import printable

WINDOW = 16 * 1024 * 1024
"""Bytes that the host may send ahead of us on one channel."""

PACKET = 128 * 1024
"""Bytes of one packet to us."""

SILENCE = 60
"""Seconds without an acknowledgement after which the kernel gives a connection up."""

A_PERSON = 600.0
"""Seconds that an answer to the server may take while a person is asked for it."""

_LINGERING = 2.0  # seconds

_FASTEST = "aes128-gcm@openssh.com"

# It writes tracebacks of its own; what went wrong is told by the error that we raise.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Login:
    """A login at a host, and those at the jump hosts that lead to it; its methods are for a thread, not for the loop.

    Args:
        hop: The host, the last one of its way.
        way: The connections, the host's own last.
        accepted: The authentication methods that the host took.
    """

    def __init__(self, hop: Hop, way: list[Connection], accepted: list[str]) -> None:
        self.hop = hop
        self.accepted = accepted
        self._way = way

    def open_channel(self) -> paramiko.Channel:
        """Open a channel for one command.

        Raises:
            paramiko.SSHException: The server opens none, or is gone.
        """
        transport: paramiko.Transport = self._way[-1].transport
        deadline = time.monotonic() + _LINGERING
        while True:
            try:
                return transport.open_session(window_size=WINDOW, max_packet_size=PACKET)
            except paramiko.ChannelException:
                # A server that allows one session may not have noticed yet that the one before has ended.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def break_off(self) -> None:
        """Let whoever waits for an answer of the host get an error, now."""
        for connection in self._way:
            connection.transport.close()


@contextlib.asynccontextmanager
async def log_in(destination: Destination, ask: Ask | None) -> AsyncIterator[Login]:
    """Log in to a host, over its jump hosts if it has any.

    Args:
        destination: The host, and how patient to be.
        ask: Answers the questions that only a person can answer.

    Raises:
        LinkError: One of its subclasses for each way to fail.
    """
    route = await find_route(destination)
    wait = waiting_in(asyncio.get_running_loop())
    unlocked: Unlocked = {}
    way: list[Connection] = []
    accepted: list[str] = []
    with contextlib.ExitStack() as undo:
        for hop in route:
            accepted = await _extend(way, hop, ask, unlocked, wait, undo)
        yield Login(route[-1], way, accepted)


async def _extend(
    way: list[Connection], hop: Hop, ask: Ask | None, unlocked: Unlocked, wait: Wait[Any], undo: contextlib.ExitStack
) -> list[str]:
    """Log in to the next machine on the way; give the methods that it accepted."""
    questions = Questions(ask, Patience(hop.patience), batch=hop.settings.flag("batchmode", default=False))
    keys = KeyRing(hop.settings, questions, unlocked)
    try:
        known = await asyncio.to_thread(read_known_hosts, hop)
        strategy = Strategy(hop, keys, questions, wait)
        judge = _Judge(hop, known, ask, wait)
        connection = await asyncio.to_thread(_connect, hop, way[-1] if way else None, strategy, judge, undo)
        way.append(connection)
        return strategy.accepted
    finally:
        await keys.close()


class _Judge(paramiko.MissingHostKeyPolicy):
    """Let known_hosts, or else a person, decide about a host's key; paramiko is given no keys to know by itself."""

    def __init__(self, hop: Hop, known: KnownHosts, ask: Ask | None, wait: Wait[Any]) -> None:
        self._hop = hop
        self.known = known
        self._ask = ask
        self._wait = wait

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        shown = decode_ssh_public_key(key.asbytes())
        verdict = self.known.judge(shown.get_algorithm(), shown.public_data)
        match verdict.standing:
            case Standing.REVOKED:
                raise failures.key_revoked(self._hop, describe(shown), failures.place(verdict.evidence[0]))
            case Standing.CHANGED:
                raise failures.key_changed(self._hop, describe(shown), verdict.evidence[0])
            case Standing.UNKNOWN:
                self._wait(ask_about_key(self._hop, shown, self.known, self._ask))


def _connect(
    hop: Hop, jump: Connection | None, strategy: Strategy, judge: _Judge, undo: contextlib.ExitStack
) -> Connection:
    settings = hop.settings
    pipe, proxy = _open_pipe(hop, jump)
    undo.callback(proxy.close if proxy is not None else pipe.close)
    connection = Connection(
        settings.host,
        user=settings.user,
        port=settings.port,
        # Fabric would read ~/.ssh/config by itself, without Include: the route is resolved already.
        config=Config(lazy=True, overrides={"load_ssh_configs": False}),
        connect_timeout=hop.patience,
        connect_kwargs={
            "sock": pipe,
            "auth_strategy": strategy,
            "banner_timeout": hop.patience,
            "auth_timeout": A_PERSON,
            "channel_timeout": hop.patience,
            "transport_factory": functools.partial(_transport, hop, judge.known),
        },
    )
    undo.callback(connection.client.close)
    connection.client.set_missing_host_key_policy(judge)
    try:
        connection.open()
    except SimmateRemoteError:
        raise
    except (paramiko.SSHException, OSError, EOFError) as error:
        if proxy is not None and not strategy.offered:
            raise failures.proxy_failed(hop, proxy.command, proxy.last_words()) from error
        raise _explained(hop, strategy, error) from error
    connection.transport.set_keepalive(max(1, round(hop.destination.keepalive_interval)))
    return connection


def _transport(hop: Hop, known: KnownHosts, sock: Any, **options: Any) -> paramiko.Transport:
    transport = Transport(sock, default_window_size=WINDOW, default_max_packet_size=PACKET, **options)
    offered = transport.get_security_options()
    ciphers = [name for name in (hop.settings.chosen("ciphers") or "").split(",") if name in offered.ciphers]
    offered.ciphers = ciphers or [_FASTEST, *(name for name in offered.ciphers if name != _FASTEST)]
    wanted = host_key_algorithms(hop.settings, known)
    offered.key_types = [name for name in wanted if name in offered.key_types] or offered.key_types
    return transport


def _open_pipe(hop: Hop, jump: Connection | None) -> tuple[Any, ProxyCommand | None]:
    """Make what carries the connection: a channel of a jump host, a ProxyCommand, or a TCP connection."""
    settings = hop.settings
    command: str | None = None
    try:
        if jump is not None:
            return jump.transport.open_channel("direct-tcpip", (settings.host, settings.port), ("", 0)), None
        command = settings.proxy_command
        if command is not None:
            proxy = ProxyCommand(command)
            return proxy.pipe, proxy
        return _open_tcp(hop), None
    except paramiko.ChannelException as error:
        raise failures.no_way_through(hop, printable(error.text), forbidden=error.code == 1) from error
    except socket.gaierror as error:
        raise failures.not_resolved(hop, error) from error
    except ValueError as error:
        raise failures.cannot_follow(hop, error) from error
    except OSError as error:
        if command is not None:
            raise failures.proxy_failed(hop, command, str(error)) from error
        raise failures.unreachable(hop, error) from error


def _open_tcp(hop: Hop) -> socket.socket:
    settings = hop.settings
    family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(settings.value("addressfamily"), socket.AF_UNSPEC)
    addresses = socket.getaddrinfo(settings.host, settings.port, family=family, type=socket.SOCK_STREAM)
    errors: list[OSError] = []
    for family, kind, _, _, address in addresses:
        pipe = socket.socket(family, kind)
        try:
            pipe.settimeout(hop.patience / len(addresses))
            if source := settings.value("bindaddress"):
                pipe.bind((source, 0))
            pipe.connect(address)
        except OSError as error:
            pipe.close()
            errors.append(error)
        else:
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                # With keepalive's traffic, a link that is lost in silence ends what waits for it.
                pipe.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE * 1000)
            pipe.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return pipe
    refused = [error for error in errors if isinstance(error, ConnectionRefusedError)]
    raise (refused or errors)[0]


def _explained(hop: Hop, strategy: Strategy, error: Exception) -> Exception:
    """Translate what paramiko raised during a login."""
    if isinstance(error, IncompatiblePeer):
        return failures.no_common_algorithm(hop, str(error))
    step = failures.LOGGING_IN if strategy.offered or strategy.tried else failures.AGREEING
    if isinstance(error, TimeoutError):
        return failures.timed_out(hop, step)
    return failures.broken_off(hop, str(error) or type(error).__name__, step)
