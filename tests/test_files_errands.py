"""Errands: a module of ours on the host for the time of a connection, through a session or by a login of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from simmate_remote.files.host.frames import HEADER, Kind
from simmate_remote.files.transfer import MODULE
from simmate_remote.inventory import Host
from simmate_remote.session.errand import errand
from simmate_remote.session.join import join
from simmate_remote.session.paths import errand_path
from tests.boxes import Box
from tests.hosts import host_of
from tests.keepers import reached

LIMIT = 30.0
NOT_AN_ORDER = HEADER.pack(Kind.ORDER, 2) + b"[]"


class Listener(asyncio.Protocol):
    """Keeps what the module says."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.news = asyncio.Event()
        self.over = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()


@pytest.fixture
async def session(box: Box) -> AsyncIterator[Host]:
    """A host with a session."""
    host = host_of(box, workers={"count": 1})
    client = await join(host, lasting=True)
    yield host
    await client.stop(end_everything=True)
    client.close()
    await client.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does, but not for ever."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def is_private_socket(path: Path) -> bool:
    return path.is_socket() and not path.parent.stat().st_mode & 0o077


def modules(box: Box) -> list[list[str]]:
    return [argv for _, argv in box.processes() if MODULE in argv]


async def answer(host: Host) -> bytes:
    """Say nonsense to the module, and hear what it answers."""
    async with errand(host, MODULE, Listener) as (transport, listener), asyncio.timeout(LIMIT):
        transport.write(NOT_AN_ORDER)
        await listener.news.wait()
        return bytes(listener.heard)


async def test_without_a_session_one_login_does_it_and_leaves_nothing(box: Box) -> None:
    box.run("rm -rf ~/simmate-remote")  # where an earlier test had a session, the package is there
    assert b"what is to be done cannot be read" in await answer(host_of(box))
    assert box.logins() == 1
    assert not box.run("ls -d ~/simmate-remote").stdout


async def test_a_package_that_is_there_is_used(box: Box) -> None:
    async with reached(box) as there:
        await there.keeper.call("stop", reason="only its package is wanted")
    assert b"what is to be done cannot be read" in await answer(host_of(box))
    box.run("rm -rf ~/simmate-remote/*")


async def test_a_session_needs_no_login_for_it_and_ends_it_with_the_connection(session: Host, box: Box) -> None:
    for _ in range(2):
        async with errand(session, MODULE, Listener) as (transport, listener), asyncio.timeout(LIMIT):
            await until(lambda: len(modules(box)) == 1)
            transport.write(NOT_AN_ORDER)
            await listener.news.wait()
        async with asyncio.timeout(LIMIT):
            await listener.over.wait()
            await until(lambda: not modules(box))
    assert box.logins() == 1


@pytest.mark.slow_in_the_lab
async def test_a_session_runs_nothing_that_is_not_ours_to_run_there(session: Host, box: Box) -> None:
    for module in ("this", "simmate_remote.version", "simmate_remote_other.host.module"):
        async with errand(session, module, Listener) as (_, listener), asyncio.timeout(LIMIT):
            await listener.over.wait()
        assert not listener.heard
        assert not [argv for _, argv in box.processes() if module in argv]


@pytest.mark.slow_in_the_lab
async def test_its_socket_is_its_user_s_alone_and_goes_with_the_session(box: Box) -> None:
    host = host_of(box, workers={"count": 1})
    client = await join(host, lasting=True)
    try:
        await answer(host)
        path = errand_path(host, MODULE)
        assert is_private_socket(path)
    finally:
        await client.stop(end_everything=True)
        client.close()
        await client.wait_closed()
    await until(lambda: not path.exists())
