"""An SSH server inside the test, for what an sshd without PAM cannot do: codes, passwords, several rounds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh


@dataclass
class Script:
    """What the server asks, and what it lets in.

    Args:
        password: The right password; empty: the method is not offered.
        rounds: Rounds of keyboard-interactive: instructions, prompts, and the right answers.
        banner: Shown before the login.
        key: A public key that is let in.
        answers: Passwords and answers that came.
        connections: The connections that were made.
    """

    password: str = ""
    rounds: list[tuple[str, list[tuple[str, bool]], list[str]]] = field(default_factory=list)
    banner: str = ""
    key: asyncssh.SSHKey | None = None
    answers: list[list[str]] = field(default_factory=list)
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)

    @property
    def logins(self) -> int:
        """How many connections were made."""
        return len(self.connections)


class Server(asyncssh.SSHServer):
    """Plays a script."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._round = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._script.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        if self._script.banner:
            self._connection.send_auth_banner(self._script.banner)
        return True

    def public_key_auth_supported(self) -> bool:
        return self._script.key is not None

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        assert self._script.key is not None
        return key.public_data == self._script.key.public_data

    def password_auth_supported(self) -> bool:
        return bool(self._script.password)

    def validate_password(self, username: str, password: str) -> bool:
        self._script.answers.append([password])
        return password == self._script.password

    def kbdint_auth_supported(self) -> bool:
        return bool(self._script.rounds)

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> object:
        self._round = 0
        return self._challenge()

    def validate_kbdint_response(self, username: str, responses: list[str]) -> object:
        self._script.answers.append(list(responses))
        if list(responses) != self._script.rounds[self._round][2]:
            return False
        self._round += 1
        return True if self._round == len(self._script.rounds) else self._challenge()

    def _challenge(self) -> object:
        instructions, prompts, _ = self._script.rounds[self._round]
        return "Two\x1b[2Jfactors", instructions, "", prompts


@dataclass
class Running:
    """A server that listens."""

    port: int
    config: Callable[..., Path]


@asynccontextmanager
async def scripted_server(folder: Path, script: Script) -> AsyncIterator[Running]:
    """Serve a script on a loopback port, with an ssh_config that knows its key as ``box``."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    listener = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: Server(script),
        server_host_keys=[key],
        login_timeout=0,
        process_factory=lambda process: process.exit(0),
        gss_host=None,
    )
    port = listener.get_port()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key.export_public_key().decode()}")

    def config(**options: object) -> Path:
        lines: dict[str, object] = {
            "HostName": "127.0.0.1",
            "Port": port,
            "User": "ada",
            "IdentityFile": "none",
            "IdentityAgent": "none",
            "UserKnownHostsFile": folder / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
        }
        path = folder / "ssh_config"
        path.write_text("Host box\n" + "".join(f"  {name} {value}\n" for name, value in (lines | options).items()))
        return path

    try:
        yield Running(port, config)
    finally:
        listener.close()
        await listener.wait_closed()
