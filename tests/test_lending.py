"""What this machine lends to the host: a socket there leads to one here, and to nothing else here."""

from __future__ import annotations

import asyncio
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from simmate_remote import connect
from simmate_remote.database.dialling import refuse
from simmate_remote.database.gateway import listen
from simmate_remote.errors import KeeperError, StreamResetError
from simmate_remote.inventory import Host
from simmate_remote.keeper.host.lending import Loans
from simmate_remote.session.client import find
from simmate_remote.session.lending import Lendings
from simmate_remote.streams.conversation import Conversation
from tests.boxes import Box
from tests.hosts import end_session, host_of, travels


class Shout(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.readline().upper())


@pytest.fixture
def shouting(user_folders: Path) -> Iterator[str]:
    """A server on a Unix socket here; its path."""
    path = str(user_folders / "shout")
    with socketserver.ThreadingUnixStreamServer(path, Shout) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield path
        server.shutdown()
        thread.join()


@travels
def ask(path: str, question: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(path)
        connection.sendall(question)
        return connection.recv(100)


def lend(host: Host, target: str, path: str) -> str:
    async def call() -> str:
        session = await find(host)
        try:
            return await session.lend(target, path)
        finally:
            session.close()
            await session.wait_closed()

    return asyncio.run(call())


@pytest.mark.slow_in_the_lab
def test_a_process_there_talks_to_a_socket_here_also_after_the_link_was_cut(box: Box, shouting: str) -> None:
    host = host_of(box, workers={"count": 1})
    with connect(host) as lab:
        try:
            there = lend(host, "shout", shouting)
            assert lab.client.submit(ask, there, b"once\n").result(timeout=30) == b"ONCE\n"
            box.cut()
            assert lab.client.submit(ask, there, b"twice\n").result(timeout=50) == b"TWICE\n"
            assert box.run(f"find {there} -perm /077 ! -type s; stat -c %a $(dirname {there})").stdout == "700\n"
            with pytest.raises(KeeperError, match="no name for what is lent"):
                lend(host, "../shout", shouting)
        finally:
            end_session(host)


async def test_the_host_reaches_nothing_that_was_not_lent() -> None:
    with pytest.raises(StreamResetError, match="nothing of this machine is lent as 'shout'"):
        await Lendings().accept("shout")


async def test_what_is_lent_and_gone_is_said(user_folders: Path) -> None:
    lendings = Lendings()
    lendings.add("shout", str(user_folders / "nobody"))
    with pytest.raises(StreamResetError, match="does not answer"):
        await lendings.accept("shout")


async def test_a_folder_leads_to_what_was_lent_last_and_to_what_is_left(tmp_path: Path) -> None:
    first, second = Loans(tmp_path), Loans(tmp_path)
    paths = [
        await loans.take_folder(Conversation(first=False), "database", {"who": name}, "socket")
        for loans, name in ((first, "first"), (second, "second"))
    ]
    assert paths == [str(tmp_path / "database")] * 2
    assert (tmp_path / "database/who").read_text() == "second"
    assert (tmp_path / "database/who").stat().st_mode & 0o777 == 0o600
    second.give_back()
    assert (tmp_path / "database/who").read_text() == "first"
    assert (tmp_path / "database/socket").is_socket()
    first.give_back()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("first_packet", [b"", struct.pack("!II", 8, 80877103)], ids=["plain", "asks for TLS"])
async def test_a_refusal_is_read_as_a_servers_own_words(tmp_path: Path, first_packet: bytes) -> None:
    async def dial() -> asyncio.Protocol:
        return await refuse("there is no database today")

    async with await listen(tmp_path / "socket", dial):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "socket")
        writer.write(first_packet + struct.pack("!II", 8, 196608))
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await writer.wait_closed()
        for _ in range(10):  # until each side of the splice has heard of it
            await asyncio.sleep(0)
    assert answer.removeprefix(b"N").startswith(b"E")
    assert b"Mthere is no database today\0" in answer
