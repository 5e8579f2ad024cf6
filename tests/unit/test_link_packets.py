"""How many packets a message takes on an asyncssh connection."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any, cast

import asyncssh
import pytest

from simmate_remote.link.packets import MSG_IGNORE, acknowledging_at_once, spare_empty_packets

WRITES = 5


class _Server(asyncssh.SSHServer):
    """Lets everybody in, and notes the kinds of the packets that come and belong to no channel."""

    def __init__(self, seen: list[int]) -> None:
        self._seen = seen

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        conn.log_received_packet = lambda kind, *_: self._seen.append(kind)  # type: ignore[method-assign]

    def begin_auth(self, username: str) -> bool:
        return False


async def _echo(process: asyncssh.SSHServerProcess[bytes]) -> None:
    while data := await process.stdin.read(1):
        process.stdout.write(data)
    process.exit(0)


@pytest.mark.parametrize(
    ("cipher", "spared"),
    [
        ("aes128-gcm@openssh.com", True),
        ("chacha20-poly1305@openssh.com", True),
        ("aes128-ctr", False),
        ("aes128-cbc", False),
    ],
)
async def test_empty_packets_are_left_out_where_the_cipher_does_not_need_them(cipher: str, *, spared: bool) -> None:
    seen: list[int] = []
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: _Server(seen),
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=_echo,
        encoding=None,
        encryption_algs=[cipher],
    )
    async with (
        asyncio.timeout(30),
        server,
        asyncssh.connect(
            "127.0.0.1",
            server.get_port(),
            username="anybody",
            known_hosts=None,
            config=None,
            client_keys=None,
            agent_path=None,
            encryption_algs=[cipher],
        ) as connection,
    ):
        spare_empty_packets(connection)
        async with connection.create_process("echo", encoding=None) as process:
            seen.clear()
            for _ in range(WRITES):
                process.stdin.write(b".")
                assert await process.stdout.read(1) == b"."
    empty = seen.count(MSG_IGNORE)
    assert empty == 0 if spared else empty >= WRITES


class _Connection:
    """As much of an asyncssh connection as is looked at; it keeps what it is told."""

    def __init__(self, pipe: socket.socket) -> None:
        self.pipe = pipe
        self.heard: list[bytes] = []

    def get_extra_info(self, _: str) -> socket.socket:
        return self.pipe

    def data_received(self, data: bytes, datatype: Any = None) -> None:
        assert datatype is None
        self.heard.append(data)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can be told when to acknowledge")
def test_what_comes_is_acknowledged_at_once_and_only_for_a_while() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as pipe,
    ):
        connection = _Connection(pipe)
        pipe.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        with acknowledging_at_once(cast("asyncssh.SSHClientConnection", connection)):
            connection.data_received(b"words")
            assert pipe.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 1
        pipe.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        connection.data_received(b"of a host")
        assert pipe.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 0
        assert connection.heard == [b"words", b"of a host"]


def test_a_pipe_that_is_no_tcp_connection_is_left_alone() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = _Connection(ours)
        with acknowledging_at_once(cast("asyncssh.SSHClientConnection", connection)):
            connection.data_received(b"words")
        assert connection.heard == [b"words"]
