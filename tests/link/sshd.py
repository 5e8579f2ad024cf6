"""A real sshd on a loopback port, with keys of its own, for tests of the link."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

PROGRAM = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")

needs_sshd = pytest.mark.skipif(
    PROGRAM is None or os.getuid() != 0, reason="needs root and sshd: apt-get install openssh-server, then run as root"
)


@dataclass
class Sshd:
    """A running sshd.

    Args:
        folder: Where its files are.
        port: Where it listens, on 127.0.0.1.
        host_key: Its own key.
    """

    folder: Path
    port: int
    host_key: asyncssh.SSHKey

    @property
    def key_file(self) -> Path:
        """The private key that it lets in."""
        return self.folder / "user_key"

    @property
    def known_hosts(self) -> Path:
        """Where clients keep its key; not there at first."""
        return self.folder / "client" / "known_hosts"

    def know(self, key: asyncssh.SSHKey | None = None, name: str | None = None, marker: str = "") -> None:
        """Write its key, or another one, to known_hosts."""
        self.known_hosts.parent.mkdir(exist_ok=True)
        line = (key or self.host_key).export_public_key().decode().strip()
        with self.known_hosts.open("a") as file:
            file.write(f"{marker} {name or f'[127.0.0.1]:{self.port}'} {line}\n".lstrip())

    def config(self, text: str = "", **options: object) -> Path:
        """Write an ssh_config with the alias ``box``; options replace the ones that it has."""
        lines = {
            "HostName": "127.0.0.1",
            "Port": self.port,
            "IdentityFile": self.key_file,
            "IdentityAgent": "none",
            "UserKnownHostsFile": self.known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
        } | options
        path = self.folder / "ssh_config"
        path.write_text(text + "\nHost box\n" + "".join(f"  {name} {value}\n" for name, value in lines.items()))
        return path


@contextmanager
def running_sshd(folder: Path, text: str = "", authorized: str = "") -> Iterator[Sshd]:
    """Start an sshd, and end it.

    Args:
        folder: For its files.
        text: Lines for sshd_config; they win over ours.
        authorized: Options before the key in authorized_keys.
    """
    assert PROGRAM is not None
    Path("/run/sshd").mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    user_key = asyncssh.generate_private_key("ssh-ed25519")
    write_key(folder / "host_key", host_key)
    write_key(folder / "user_key", user_key)
    (folder / "authorized_keys").write_text(f"{authorized} {user_key.export_public_key().decode()}".lstrip())
    (folder / "sshd_config").write_text(
        f"{text}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\n"
        f"StrictModes no\nAuthorizedKeysFile {folder}/authorized_keys\nLogLevel ERROR\n"
    )
    with (folder / "sshd.log").open("w") as log:
        process = subprocess.Popen([PROGRAM, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    try:
        _wait_for(port, process, folder / "sshd.log")
        yield Sshd(folder, port, host_key)
    finally:
        process.terminate()
        process.wait(10)


def write_key(path: Path, key: asyncssh.SSHKey, passphrase: str | None = None) -> None:
    """Write a private key as only its owner may read it."""
    key.write_private_key(path, passphrase=passphrase, rounds=1, ignore_few_rounds=True)
    path.chmod(0o600)


@contextmanager
def running_agent(path: Path, *keys: Path) -> Iterator[Path]:
    """Start an ssh-agent that holds keys, and end it."""
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # it has its socket when it prints the first line
    for key in keys:
        give_agent(path, key)
    yield path
    process.terminate()
    process.communicate(timeout=10)


def give_agent(agent: Path, key: Path) -> None:
    """Add a private key to an agent."""
    subprocess.run(["ssh-add", "-q", key], env={**os.environ, "SSH_AUTH_SOCK": str(agent)}, check=True)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    pytest.fail("sshd did not start within 10 s")
