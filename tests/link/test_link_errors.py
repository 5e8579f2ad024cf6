"""Each way to fail has its own error, soon, that names the machine and the next command."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from kinds import to
from ssh_server import Script, scripted_server
from sshd import Sshd, needs_sshd, running_sshd, write_key
from talkers import saying, silent, talker

from simmate_remote.errors import (
    AnswerNeededError,
    AuthenticationError,
    ConnectionRefusedByHostError,
    ConnectTimeoutError,
    ForbiddenByServerError,
    LinkError,
    NameNotResolvedError,
    SSHConfigError,
)
from simmate_remote.link import Link, connect

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path) as server:
        server.know()
        yield server


def write_config(tmp_path: Path, text: str) -> str:
    path = tmp_path / "ssh_config"
    path.write_text(f"{text}\nHost *\n  UserKnownHostsFile {tmp_path}/known_hosts\n  GlobalKnownHostsFile /dev/null\n")
    return str(path)


async def log_in(config: str | Path, name: str = "box", timeout: float = 5) -> Link:
    return await connect(to(name, config, connect_timeout=timeout))


async def failure(kind: type[LinkError], config: str | Path, name: str = "box", timeout: float = 5) -> LinkError:
    """Return the error of a login, after a look at what every error must have."""
    begin = time.monotonic()
    with pytest.raises(LinkError) as caught:
        await log_in(config, name, timeout)
    error = caught.value
    assert type(error) is kind
    assert time.monotonic() - begin < timeout + 10
    assert error.host == "lab"
    assert error.meanwhile
    assert error.remedies
    for remedy in error.remedies:
        program = shlex.split(remedy.command)[0]
        assert program == "simmate-remote" or shutil.which(program), remedy
    return error


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_name_without_an_address(tmp_path: Path) -> None:
    error = await failure(NameNotResolvedError, write_config(tmp_path, ""), "no-such-host.invalid")
    assert "'no-such-host.invalid'" in str(error)
    assert error.remedies[0].command == "getent hosts -- no-such-host.invalid"


async def test_a_name_that_cannot_be_one(tmp_path: Path) -> None:
    await failure(NameNotResolvedError, write_config(tmp_path, "Host box\n  HostName a..b"))


async def test_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path, f"Host box\n  HostName 127.0.0.1\n  Port {closed_port()}")
    error = await failure(ConnectionRefusedByHostError, config)
    assert isinstance(error, ConnectionRefusedError)
    assert "127.0.0.1 port" in str(error)


async def test_refused_at_each_address_of_a_name(tmp_path: Path) -> None:
    await failure(
        ConnectionRefusedByHostError,
        write_config(tmp_path, f"Host box\n  HostName localhost\n  Port {closed_port()}"),
    )


async def test_no_greeting(tmp_path: Path) -> None:
    async with talker(silent) as port:
        config = write_config(tmp_path, f"Host box\n  HostName 127.0.0.1\n  Port {port}")
        error = await failure(ConnectTimeoutError, config, timeout=4)
    assert "within 4 s while waiting for the server's greeting" in str(error)


async def test_silence_after_the_greeting(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-tarpit\r\n")
        await silent(reader, writer)

    async with talker(talk) as port:
        config = write_config(tmp_path, f"Host box\n  HostName 127.0.0.1\n  Port {port}")
        assert "agreeing on keys" in str(await failure(ConnectTimeoutError, config, timeout=4))
        config = write_config(tmp_path, f"Host box\n  HostName 127.0.0.1\n  Port {port}\n  ConnectTimeout 1")
        assert "within 1 s" in str(await failure(ConnectTimeoutError, config))


async def test_nobody_takes_the_connection(tmp_path: Path) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        config = write_config(tmp_path, f"Host box\n  HostName 127.0.0.1\n  Port {address[1]}")
        error = await failure(ConnectTimeoutError, config, timeout=0.3)
        assert "while connecting" in str(error)
        for one in waiting:
            one.close()


@pytest.mark.parametrize("words", [b"Not allowed at this time\r\n", b"Exceeded MaxStartups\r\n", b""])
async def test_turned_away_before_the_login(tmp_path: Path, words: bytes) -> None:
    async with talker(saying(words)) as port:
        config = write_config(tmp_path, f"Host box\n  HostName 127.0.0.1\n  Port {port}")
        error = await failure(ConnectionRefusedByHostError, config)
    assert "closed the connection before the login" in str(error)
    assert words.decode().strip() in str(error)


async def test_another_protocol(tmp_path: Path) -> None:
    async with talker(saying(b"HTTP/1.1 400 Bad\x1b[31m Request\r\n" + b"x" * 20000)) as port:
        config = write_config(tmp_path, f"Host box\n  HostName 127.0.0.1\n  Port {port}")
        error = await failure(ConnectionRefusedByHostError, config)
    assert "does not speak SSH" in str(error)
    assert "HTTP/1.1 400" in str(error)
    assert "\x1b" not in str(error)


async def test_broken_off_after_the_greeting(tmp_path: Path) -> None:
    async with talker(saying(b"SSH-2.0-gone\r\n")) as port:
        config = write_config(tmp_path, f"Host box\n  HostName 127.0.0.1\n  Port {port}")
        error = await failure(ConnectionRefusedByHostError, config)
    assert "broke off" in str(error)


@needs_sshd
async def test_no_common_cipher(tmp_path: Path) -> None:
    with running_sshd(tmp_path, "Ciphers aes256-ctr") as server:
        server.know()
        error = await failure(SSHConfigError, server.config(Ciphers="aes128-ctr"))
    assert "on how to encrypt" in str(error)
    assert "aes" in str(error)


@needs_sshd
async def test_nothing_is_accepted(sshd: Sshd, tmp_path: Path) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    stranger.write_private_key(tmp_path / "stranger")
    (tmp_path / "stranger").chmod(0o600)
    # The server offers a password, too, and nobody can be asked for it.
    error = await failure(AnswerNeededError, sshd.config(IdentityFile=tmp_path / "stranger"))
    text = str(error)
    assert isinstance(error, PermissionError)
    assert "methods tried:  publickey" in text
    assert stranger.get_fingerprint() in text
    assert "server offers:  publickey, " in text


@needs_sshd
async def test_too_many_keys(tmp_path: Path) -> None:
    with running_sshd(tmp_path, "MaxAuthTries 1") as server:
        server.know()
        for name in "ab":
            write_key(tmp_path / name, asyncssh.generate_private_key("ssh-ed25519"))
        config = server.config(IdentityFile=f"{tmp_path}/a\n  IdentityFile {tmp_path}/b")
        assert "Too many authentication failures" in str(await failure(AuthenticationError, config))


# The ssh program hears nothing from the server while a person is asked.
@pytest.mark.parametrize("kind", ["asyncssh"], indirect=True)
async def test_the_server_has_no_more_patience(tmp_path: Path, kind: str) -> None:
    script = Script(password="x")
    async with scripted_server(tmp_path, script) as server:

        async def ask(prompt: object) -> str:
            script.connections[-1].abort()
            await asyncio.Event().wait()
            raise AssertionError

        with pytest.raises(ConnectionRefusedByHostError, match="broke off the connection while logging in"):
            await connect(to("box", server.config()), ask)


@needs_sshd
async def test_a_jump_host_is_named(sshd: Sshd) -> None:
    port = closed_port()
    text = (
        f"Host behind\n  ProxyJump box\n  HostName 127.0.0.1\n  Port {port}\n"
        f"Host lost\n  ProxyJump nowhere\n  HostName 127.0.0.1\nHost nowhere\n  HostName 127.0.0.1\n  Port {port}\n"
        "Host unknown\n  ProxyJump no-such-host.invalid\n"
    )
    config = sshd.config(text)
    error = await failure(ConnectionRefusedByHostError, config, "behind")
    assert f"the jump host before 127.0.0.1 port {port} cannot connect" in str(error)
    error = await failure(ConnectionRefusedByHostError, config, "lost")
    assert f"the jump host 127.0.0.1 port {port} (hop 1 of 2) refuses" in str(error)
    assert error.remedies[-2].command.endswith(" nowhere")
    error = await failure(NameNotResolvedError, config, "unknown")
    assert "of a jump host" in str(error)


@needs_sshd
async def test_a_jump_host_that_forbids_it(tmp_path: Path) -> None:
    with running_sshd(tmp_path, "AllowTcpForwarding no") as server:
        server.know()
        config = server.config(f"Host behind\n  ProxyJump box\n  HostName 127.0.0.1\n  Port {server.port}\n")
        error = await failure(ForbiddenByServerError, config, "behind")
    assert "forbids to be jumped from" in str(error)


async def test_proxy_commands_that_bring_nothing(tmp_path: Path) -> None:
    config = write_config(tmp_path, "Host box\n  ProxyCommand echo no way >&2; false")
    error = await failure(ConnectionRefusedByHostError, config)
    assert "no way" in str(error)
    config = write_config(tmp_path, "Host box\n  ProxyCommand no-such-command %h")
    assert "no-such-command box" in str(await failure(ConnectionRefusedByHostError, config))
    config = write_config(tmp_path, "Host box\n  ProxyCommand sleep 60")
    assert "greeting" in str(await failure(ConnectTimeoutError, config, timeout=4))


@pytest.mark.parametrize(
    "name",
    ["", "-oProxyCommand=x", "a b", "a;b", "$(b)", "a\nb", "-x@box", "a@", "ssh://box:0", "ssh://box:x", "ssh://"],
)
async def test_destinations_that_are_none(tmp_path: Path, name: str) -> None:
    error = await failure(SSHConfigError, write_config(tmp_path, ""), name)
    assert all("-oProxy" not in remedy.command for remedy in error.remedies)


async def test_a_wrong_configuration(tmp_path: Path) -> None:
    path = tmp_path / "ssh_config"
    path.write_text("Host *\n  NoSuchOption yes\n")
    assert "line 2" in str(await failure(SSHConfigError, path))
    assert "not-there" in str(await failure(SSHConfigError, tmp_path / "not-there"))
    path.write_text("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
    assert "circle" in str(await failure(SSHConfigError, path, "a"))
    path.write_text('Match exec "sleep 60"\n  User x\n')
    assert "Match exec" in str(await failure(SSHConfigError, path, timeout=0.3))


async def test_descriptors_that_a_proxy_command_passes(tmp_path: Path, kind: str) -> None:
    config = write_config(tmp_path, "Host *\n  ProxyUseFdpass yes\n  ProxyCommand false")
    # Only the ssh program can take them.
    error = await failure(SSHConfigError if kind == "asyncssh" else ConnectionRefusedByHostError, config)
    assert ("link: openssh" in str(error)) == (kind == "asyncssh")


def test_a_destination_costs_no_import_of_asyncssh() -> None:
    code = "import sys; from simmate_remote.link import Destination; sys.exit('asyncssh' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
