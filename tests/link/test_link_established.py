"""After a login: what the server refuses then, and how the loss of a link is noticed and told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from kinds import to
from ssh_server import Script, scripted_server
from sshd import Sshd, needs_sshd, running_sshd
from talkers import talker

from simmate_remote.errors import ForbiddenByServerError, LinkLostError
from simmate_remote.link import Link, connect

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path) as server:
        server.know()
        yield server


async def log_in(config: Path, name: str = "box") -> Link:
    return await connect(to(name, config))


class Nothing(asyncio.Protocol):
    """A protocol that waits for its end."""

    def __init__(self) -> None:
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@needs_sshd
@pytest.mark.parametrize("limits", ["MaxSessions 1", "MaxSessions 0"])
async def test_no_further_command(tmp_path: Path, limits: str) -> None:
    with running_sshd(tmp_path, limits) as server:
        server.know()
        link = await log_in(server.config())
        for _ in range(int(limits[-1])):
            await link.open_command("cat", Nothing)
        for _ in range(2):  # the second one finds the link as it was
            with pytest.raises(ForbiddenByServerError, match=r"no \(further\) command") as caught:
                await link.open_command("cat", Nothing)
        assert "MaxSessions" in str(caught.value)
        await link.close()


@needs_sshd
async def test_sockets(tmp_path: Path) -> None:
    with running_sshd(tmp_path) as server:
        server.know()
        link = await log_in(server.config())
        with pytest.raises(ForbiddenByServerError, match="no channel to the socket /no/such/socket") as caught:
            await link.open_socket("/no/such/socket", Nothing)
        await link.open_command("true", Nothing)
        await link.close()
    assert caught.value.remedies[0].command.endswith("box 'ls -l /no/such/socket'")
    (tmp_path / "more").mkdir()
    with running_sshd(tmp_path / "more", "AllowStreamLocalForwarding no") as server:
        server.know()
        link = await log_in(server.config())
        with pytest.raises(ForbiddenByServerError, match="no channel to the socket"):
            await link.open_socket("/no/such/socket", Nothing)
        await link.close()


@needs_sshd
async def test_a_link_that_is_lost(sshd: Sshd) -> None:
    link = await log_in(sshd.config())
    _, parent = await link.open_command("echo $PPID >&2; cat", Nothing)
    _, waiting = await link.open_command("kill -9 $PPID; cat", Nothing)
    async with asyncio.timeout(10):
        lost = await link.wait_lost()
        assert await waiting.lost is lost
        assert await parent.lost is lost
    assert isinstance(lost, LinkLostError)
    assert lost.remedies[0].command == "simmate-remote connect lab"
    with pytest.raises(LinkLostError):
        await link.open_command("true", Nothing)
    with pytest.raises(LinkLostError):
        await link.open_socket("/tmp/x", Nothing)
    await link.close()
    assert await link.wait_lost() is lost


@needs_sshd
async def test_a_jump_host_that_is_lost_ends_the_link(sshd: Sshd, kind: str) -> None:
    config = sshd.config(
        f"Host behind\n  ProxyJump box\n  HostName localhost\n  Port {sshd.port}\n  AddressFamily inet\n"
        f"  IdentityFile {sshd.key_file}\n  UserKnownHostsFile {sshd.known_hosts}\n  HostKeyAlias inner\n"
    )
    sshd.know(name="inner")
    link = await log_in(config, "behind")
    if kind == "asyncssh":
        link._way[0].connection.abort()  # type: ignore[attr-defined]
    else:
        os.kill(jump_process(config), signal.SIGKILL)
    async with asyncio.timeout(10):
        assert kind == "openssh" or "the jump host" in str(await link.wait_lost())
        assert isinstance(await link.wait_lost(), LinkLostError)
    await link.close()


def jump_process(config: Path) -> int:
    """Return the process that holds the login at the jump host of this configuration."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if words[0] == b"ssh" and {b"-W", bytes(config)} <= set(words):
                    return int(folder.name)
    raise AssertionError("there is no such process")


async def test_a_server_that_falls_silent(tmp_path: Path) -> None:
    async with scripted_server(tmp_path, Script(password="x")) as server, muted(server.port) as (port, mute):
        (tmp_path / "known_hosts").write_text(
            (tmp_path / "known_hosts").read_text().replace(str(server.port), str(port))
        )
        destination = to("box", server.config(Port=port), keepalive_interval=0.1, keepalive_tries=2)

        async def ask(prompt: object) -> str:
            return "x"

        link = await connect(destination, ask)
        mute.set()
        async with asyncio.timeout(10):
            assert "keepalive" in str(await link.wait_lost())
        await link.close()


@asynccontextmanager
async def muted(port: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Relay to a port; once the event is set, nothing goes through, and nothing is closed."""
    mute = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not mute.is_set():
                    writer.write(data)
        finally:
            writer.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection("127.0.0.1", port)
        tasks.update({asyncio.create_task(pump(reader, out)), asyncio.create_task(pump(there, writer))})

    async with talker(talk) as relay:
        yield relay, mute
    if tasks:
        await asyncio.wait(tasks, timeout=5)
