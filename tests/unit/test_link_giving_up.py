"""A connection can be given up in any state."""

from __future__ import annotations

import asyncio
import socket

from simmate_remote.link.giving_up import give_up

MORE_THAN_THE_KERNEL_TAKES = bytes(8 * 1024 * 1024)


class Ends(asyncio.Protocol):
    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


async def pair() -> tuple[asyncio.Transport, Ends, asyncio.StreamReader, asyncio.StreamWriter]:
    one, other = socket.socketpair()
    transport, protocol = await asyncio.get_running_loop().create_connection(Ends, sock=one)
    reader, writer = await asyncio.open_connection(sock=other)
    return transport, protocol, reader, writer


async def test_one_that_was_closed_and_has_written_the_rest() -> None:
    transport, protocol, reader, writer = await pair()
    transport.write(MORE_THAN_THE_KERNEL_TAKES)
    transport.close()
    assert len(await reader.read(-1)) == len(MORE_THAN_THE_KERNEL_TAKES)
    await protocol.ended.wait()
    give_up(transport)
    writer.close()
    await writer.wait_closed()


async def test_one_that_was_closed_and_still_has_to_write() -> None:
    transport, protocol, reader, writer = await pair()
    transport.write(MORE_THAN_THE_KERNEL_TAKES)
    transport.close()
    give_up(transport)
    await protocol.ended.wait()
    assert len(await reader.read(-1)) < len(MORE_THAN_THE_KERNEL_TAKES)
    writer.close()
    await writer.wait_closed()


async def test_one_that_is_open() -> None:
    transport, protocol, _, writer = await pair()
    give_up(transport)
    await protocol.ended.wait()
    writer.close()
    await writer.wait_closed()
