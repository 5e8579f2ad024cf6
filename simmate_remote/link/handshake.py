"""From a machine's address to a login at it: the pipe, the host's key, authentication."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

import asyncssh

from simmate_remote.link import failures
from simmate_remote.link.algorithms import offered
from simmate_remote.link.base import Ask
from simmate_remote.link.carrier import TCPSession
from simmate_remote.link.dial import Dialled, Greeting, ProxyCommand, open_tcp
from simmate_remote.link.hop import Hop
from simmate_remote.link.host_keys import ask_about_key, describe, read_known_hosts
from simmate_remote.link.keys import KeyRing, Unlocked
from simmate_remote.link.known_hosts import KnownHosts, Standing
from simmate_remote.link.login import Login
from simmate_remote.link.patience import Patience
from simmate_remote.link.questions import Questions
from simmate_remote.link.text import printable


@dataclass
class LoggedIn:
    """One machine where we are logged in.

    Args:
        hop: The machine.
        connection: The connection.
        login: What asyncssh tells about it.
        proxy: The ProxyCommand that carries it, if there is one.
    """

    hop: Hop
    connection: asyncssh.SSHClientConnection
    login: Login
    proxy: ProxyCommand | None


class _UnknownKeyError(Exception):
    """The host shows a key that a person has to look at."""

    def __init__(self, key: asyncssh.SSHKey, known: KnownHosts) -> None:
        super().__init__()
        self.key = key
        self.known = known


async def log_in(
    hop: Hop,
    jump: asyncssh.SSHClientConnection | None,
    ask: Ask | None,
    unlocked: Unlocked,
    dialled: Dialled | None = None,
) -> LoggedIn:
    """Log in to one machine.

    Args:
        hop: The machine.
        jump: The connection that leads to it; ``None`` when it is dialled directly.
        ask: Answers questions.
        unlocked: Keys whose passphrase was typed already; it is added to.
        dialled: The pipe to it, if that was begun ahead.

    Raises:
        LinkError: Any of its subclasses; each says what to do.
    """
    try:
        return await _attempt(hop, jump, ask, unlocked, dialled)
    except _UnknownKeyError as unknown:
        # asyncssh wants a verdict at once, and a person takes time: so the connection, on which nothing was sent yet,
        # is dropped, and made again after the answer: once for each host, and before any password or code.
        await ask_about_key(hop, unknown.key, unknown.known, ask)
    try:
        return await _attempt(hop, jump, ask, unlocked, None)
    except _UnknownKeyError as unknown:
        shown = describe(unknown.key)
        raise failures.key_unknown(hop, shown, "it is not the one of a moment ago") from None


async def _attempt(
    hop: Hop,
    jump: asyncssh.SSHClientConnection | None,
    ask: Ask | None,
    unlocked: Unlocked,
    dialled: Dialled | None,
) -> LoggedIn:
    patience = Patience(hop.patience)
    questions = Questions(ask, patience, batch=hop.settings.flag("batchmode", default=False))
    keys = KeyRing(hop.settings, questions, unlocked)
    try:
        async with patience:
            known = await asyncio.to_thread(read_known_hosts, hop)
            greeting, proxy = await _open(hop, jump, dialled)
            login = Login(hop, known, keys, questions, patience)
            try:
                await _hear(hop, greeting, proxy, patience)
                patience.begin(failures.AGREEING)
                connection = await _authenticate(hop, greeting, login, keys)
            except BaseException:
                greeting.close()
                if proxy is not None:
                    await proxy.close()
                raise
            return LoggedIn(hop, connection, login, proxy)
    except TimeoutError as error:
        if not patience.expired:
            raise
        raise failures.timed_out(hop, patience.step) from error
    finally:
        await keys.close()


async def _open(
    hop: Hop, jump: asyncssh.SSHClientConnection | None, dialled: Dialled | None
) -> tuple[Greeting, ProxyCommand | None]:
    """Make the pipe to the machine."""
    command: str | None = None
    if hop.settings.flag("proxyusefdpass", default=False):
        raise failures.cannot_follow(hop, ValueError("ProxyUseFdpass needs the ssh program: `link: openssh`"))
    try:
        if jump is not None:
            return await _open_over(jump, hop), None
        command = hop.settings.proxy_command
        if command is not None:
            proxy, greeting = await ProxyCommand.start(command)
            return greeting, proxy
        begun = await dialled.take() if dialled is not None else None
        return begun or await open_tcp(hop), None
    except asyncssh.ChannelOpenError as error:
        forbidden = error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
        raise failures.no_way_through(hop, printable(error.reason), forbidden=forbidden) from error
    except socket.gaierror as error:
        raise failures.not_resolved(hop, error) from error
    except ValueError as error:
        raise failures.cannot_follow(hop, error) from error
    except OSError as error:
        if command is not None:
            raise failures.proxy_failed(hop, command, str(error)) from error
        raise failures.unreachable(hop, error) from error


async def _open_over(jump: asyncssh.SSHClientConnection, hop: Hop) -> Greeting:
    """Let a jump host connect to the next machine.

    Raises:
        asyncssh.ChannelOpenError: It cannot, or does not want to.
    """
    _, session = await jump.create_connection(
        lambda: TCPSession(Greeting, lambda error: error), hop.settings.host, hop.settings.port, encoding=None
    )
    assert isinstance(session, TCPSession)
    greeting = session.protocol
    assert isinstance(greeting, Greeting)
    return greeting


async def _hear(hop: Hop, greeting: Greeting, proxy: ProxyCommand | None, patience: Patience) -> None:
    """Wait for the server's version."""
    patience.begin(failures.GREETING)
    await greeting.complete.wait()
    if greeting.is_ssh:
        return
    if proxy is not None and not greeting.said:
        raise failures.proxy_failed(hop, hop.settings.proxy_command or "", await proxy.last_words())
    said = bytes(greeting.said)
    raise failures.turned_away(hop, said, other_protocol=len(said) >= 1000) from greeting.error


async def _authenticate(hop: Hop, greeting: Greeting, login: Login, keys: KeyRing) -> asyncssh.SSHClientConnection:
    """Let asyncssh do its part, and translate what it raises."""
    settings = hop.settings
    known = login.known
    try:
        return await asyncssh.connect(
            settings.host,
            settings.port,
            tunnel=greeting,
            config=None,
            client_factory=lambda: login,
            username=settings.user,
            known_hosts=(
                [],
                [asyncssh.import_public_key(key.public_line) for key in known.authorities],
                [asyncssh.import_public_key(key.public_line) for key in known.revoked_authorities],
            ),
            host_key_alias=settings.value("hostkeyalias") or None,
            client_keys=None,  # Login gives them, one after another
            agent_forwarding=False,
            x11_forwarding=False,
            x509_trusted_certs=None,
            request_pty=False,
            env=settings.environment(),
            send_env=None,
            preferred_auth=permitted_methods(hop),
            gss_auth=settings.flag("gssapiauthentication", default=False),
            gss_kex=settings.flag("gssapikeyexchange", default=False),
            gss_delegate_creds=settings.flag("gssapidelegatecredentials", default=False),
            host_based_auth=False,
            utf8_decode_errors="replace",
            tcp_keepalive=settings.flag("tcpkeepalive", default=True),
            keepalive_interval=hop.destination.keepalive_interval,
            keepalive_count_max=hop.destination.keepalive_tries,
            connect_timeout=None,  # Patience bounds every step, and asyncssh would count a person's time
            login_timeout=0,
            **offered(settings, known),
        )
    except (asyncssh.Error, OSError, ValueError) as error:
        if login.questions.error is error:
            raise
        raise _explained(hop, login, keys, error) from error


def _explained(hop: Hop, login: Login, keys: KeyRing, error: Exception) -> Exception:
    """Translate what asyncssh raised during a login."""
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        key, verdict = login.shown_key, login.verdict
        if key is None:
            return failures.certificate_refused(hop, str(error))
        if verdict.standing is Standing.UNKNOWN:
            return _UnknownKeyError(key, login.known)
        if verdict.standing is Standing.REVOKED:
            return failures.key_revoked(hop, describe(key), failures.place(verdict.evidence[0]))
        return failures.key_changed(hop, describe(key), verdict.evidence[0])
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return failures.no_common_algorithm(hop, str(error))
    if isinstance(error, ValueError):
        return failures.cannot_follow(hop, error)
    if not login.authenticating or isinstance(error, asyncssh.ConnectionLost | OSError):
        return failures.broken_off(hop, str(error) or type(error).__name__, login.step)
    said = "" if isinstance(error, asyncssh.PermissionDenied) else str(error)
    return failures.not_authenticated(
        hop,
        tried=login.report.methods,
        keys=keys.offered,
        offered=login.offered,
        notes=keys.notes + login.notes,
        words="\n".join(filter(None, [login.banner.strip(), printable(said)])),
        answer_needed=login.questions.unanswered,
    )


def permitted_methods(hop: Hop) -> list[str]:
    """Return the authentication methods that the configuration allows, in its order."""
    settings = hop.settings
    order = settings.value("preferredauthentications") or (
        "gssapi-keyex,gssapi-with-mic,publickey,keyboard-interactive,password"
    )
    switches = {
        "publickey": "pubkeyauthentication",
        "keyboard-interactive": "kbdinteractiveauthentication",
        "password": "passwordauthentication",
    }
    methods = [method.strip() for method in order.split(",")]
    return [one for one in methods if one not in switches or settings.flag(switches[one], default=True)]
