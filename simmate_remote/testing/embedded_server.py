"""How the embedded host answers one client: who may log in, and what is allowed then."""

from __future__ import annotations

import hmac
import secrets
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import asyncssh

from simmate_remote.testing.embedded_command import Account, Command

if TYPE_CHECKING:
    from collections.abc import Sequence

Authentication = Literal["publickey", "password", "keyboard-interactive"]

_MAX_AUTH_TRIES = 6  # sshd's default


def new_code() -> str:
    """Make a one-time code of six digits."""
    return f"{secrets.randbelow(10**6):06}"


@dataclass
class Rules:
    """What the server asks for, what it allows, and what it has seen; shared by all its connections.

    Args:
        user: The only name that may log in.
        account: How this user's commands are started.
        authentication: The only method that is offered.
        user_key: The key that is let in.
        password: The password that is let in.
        code: The one-time code that is let in next; each is good for one login.
        prompt: The question for the code.
        max_sessions: Commands at the same time on one connection, as sshd's MaxSessions.
        allow_forwarding: Whether channels to sockets may be opened.
        running: The commands whose processes live.
        connections: The connections of now.
        connection_count: Connections so far.
        login_count: Successful logins so far.
    """

    user: str
    account: Account
    authentication: Authentication
    user_key: asyncssh.SSHKey
    password: str = field(repr=False)
    prompt: str
    max_sessions: int
    allow_forwarding: bool
    code: str = field(default_factory=new_code, repr=False)
    running: set[Command] = field(default_factory=set)
    connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)
    connection_count: int = 0
    login_count: int = 0


class Server(asyncssh.SSHServer):
    """One connection to the embedded host."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._connection: asyncssh.SSHServerConnection | None = None
        self._sessions: set[Command] = set()
        self._failures = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._rules.connections.add(conn)
        self._rules.connection_count += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._rules.connections.discard(self._connection)

    def auth_completed(self) -> None:
        self._rules.login_count += 1

    def public_key_auth_supported(self) -> bool:
        return self._rules.authentication == "publickey"

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        right = key.public_data == self._rules.user_key.public_data
        return self._judge(username == self._rules.user and right)

    def password_auth_supported(self) -> bool:
        return self._rules.authentication == "password"

    def validate_password(self, username: str, password: str) -> bool:
        right = hmac.compare_digest(password.encode(), self._rules.password.encode())
        return self._judge(username == self._rules.user and right)

    def kbdint_auth_supported(self) -> bool:
        return self._rules.authentication == "keyboard-interactive"

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "", "", "", [(self._rules.prompt, False)]

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        answer = responses[0] if len(responses) == 1 else ""
        right = hmac.compare_digest(answer.encode(), self._rules.code.encode())
        if self._judge(username == self._rules.user and right):
            self._rules.code = new_code()
            return True
        return False

    def _judge(self, right: bool) -> bool:
        """Pass on a verdict, and end the connection after too many wrong tries as sshd does."""
        self._failures += not right
        if self._failures >= _MAX_AUTH_TRIES:
            raise asyncssh.ProtocolError("Too many authentication failures")
        return right

    async def session_requested(self) -> Command:
        # A coroutine, because it then runs after a channel has left that the client closed just before.
        if len(self._sessions) >= self._rules.max_sessions:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")
        session = Command(self._rules.account, self._rules.running, self._sessions.discard)
        self._sessions.add(session)
        return session

    # The codes are OpenSSH's: "prohibited" for TCP, and for a Unix socket the same as if nobody listened.

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        if not self._rules.allow_forwarding:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        return True

    def unix_connection_requested(self, dest_path: str) -> bool:
        if not self._rules.allow_forwarding:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")
        return True


def reset(connection: asyncssh.SSHServerConnection) -> None:
    """Drop a connection as a broken network does: the client gets a TCP reset, and no word of SSH."""
    sock = connection.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.abort()
