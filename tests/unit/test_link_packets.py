"""How many packets a message takes on an asyncssh connection."""

from __future__ import annotations

import asyncio

import asyncssh
import pytest

from simmate_remote.link.packets import MSG_IGNORE, spare_empty_packets

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
