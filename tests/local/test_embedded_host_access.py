"""The embedded host: who may log in, and what a login may do."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import asyncssh
import pytest

from simmate_remote.testing import EmbeddedHost
from tests.local.test_embedded_host import connect, needs_ssh, ssh

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def host() -> Iterator[EmbeddedHost]:
    with EmbeddedHost() as host:
        yield host


async def test_channel_to_a_unix_socket(host: EmbeddedHost) -> None:
    path = host.home / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        async with connect(host) as connection:
            reader, writer = await connection.open_unix_connection(str(path), encoding=None)
            server, _ = await asyncio.to_thread(listener.accept)
            with server:
                writer.write(b"there")
                writer.write_eof()
                assert await asyncio.to_thread(server.recv, 100, socket.MSG_WAITALL) == b"there"
                server.sendall(b"and back")
                server.shutdown(socket.SHUT_WR)
                assert await reader.read() == b"and back"
            with pytest.raises(asyncssh.ChannelOpenError) as failure:
                await connection.open_unix_connection(str(host.home / "nobody"))
            assert failure.value.code == asyncssh.OPEN_CONNECT_FAILED


async def test_channel_to_a_port(host: EmbeddedHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with connect(host) as connection:
            reader, writer = await connection.open_connection("127.0.0.1", listener.getsockname()[1])
            server, _ = await asyncio.to_thread(listener.accept)
            with server:
                server.sendall(b"hello")
            assert await reader.read() == b"hello"
            writer.close()


async def test_forwarding_forbidden() -> None:
    with EmbeddedHost(allow_forwarding=False) as host:
        async with connect(host) as connection:
            with pytest.raises(asyncssh.ChannelOpenError) as failure:
                await connection.open_connection("127.0.0.1", host.port)
            assert failure.value.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_unix_connection("/nowhere")
            assert (await connection.run("echo still")).stdout == "still\n"


async def test_sessions_are_limited_by_connection() -> None:
    with EmbeddedHost(max_sessions=2) as host:
        async with connect(host) as connection, connect(host) as other:
            held = [await connection.create_process("cat") for _ in range(2)]
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_process("cat")
            assert (await other.run("echo other")).stdout == "other\n"
            held[0].stdin.write_eof()
            await held[0].wait()
            assert (await connection.run("echo free")).stdout == "free\n"
            assert (host.logins, host.connections) == (2, 2)


async def test_wrong_key_is_refused(host: EmbeddedHost) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await connect(host, client_keys=[asyncssh.generate_private_key("ssh-ed25519")])
    with pytest.raises(asyncssh.PermissionDenied):
        await connect(host, username="somebody-else")
    assert (host.logins, host.connections) == (0, 2)


async def test_password() -> None:
    with EmbeddedHost(authentication="password", password="päss word") as host:
        async with connect(host, password="päss word"):
            assert host.logins == 1
        with pytest.raises(asyncssh.PermissionDenied):
            await connect(host, password="wrong")


async def test_passphrase_protects_the_key() -> None:
    with EmbeddedHost(passphrase="open sesame") as host:
        async with connect(host, passphrase="open sesame"):
            assert host.logins == 1
        with pytest.raises((asyncssh.KeyImportError, asyncssh.KeyEncryptionError, asyncssh.PermissionDenied)):
            await connect(host, passphrase="wrong")


async def test_one_time_code_is_good_for_one_login() -> None:
    questions = []

    class Person(asyncssh.SSHClient):
        def kbdint_auth_requested(self) -> str:
            return ""

        def kbdint_challenge_received(
            self, name: str, instructions: str, lang: str, prompts: list[tuple[str, bool]]
        ) -> list[str]:
            questions.extend(prompts)
            return [code]

    with EmbeddedHost(authentication="keyboard-interactive", prompt="Token: ") as host:
        code = host.code
        async with connect(host, client_factory=Person):
            assert questions == [("Token: ", False)]
        assert host.code != code
        with pytest.raises(asyncssh.ProtocolError, match="Too many authentication failures"):
            await connect(host, client_factory=Person)
        assert (host.logins, len(questions)) == (1, 1 + 6)


@needs_ssh
def test_host_key_is_checked(host: EmbeddedHost) -> None:
    assert ssh(host, "true").returncode == 0
    host.change_host_key()
    done = ssh(host, "true")
    assert done.returncode == 255
    assert b"REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr
