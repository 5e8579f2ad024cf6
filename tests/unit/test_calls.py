"""Calls over real sockets: answers, items, errors with their remedies, and the end of every wait."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import pytest

from simmate_remote.errors import KeeperError, Remedy, SchedulerError
from simmate_remote.streams import calls
from simmate_remote.streams.calls import Caller, Handler
from tests.unit.wires import until

PATIENCE = 20.0


@contextlib.asynccontextmanager
async def connected(handlers: dict[str, Handler]) -> AsyncIterator[Caller]:
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    far = Caller(handlers)
    await loop.connect_accepted_socket(lambda: far, theirs)
    _, near = await loop.create_unix_connection(Caller, sock=ours)
    try:
        async with asyncio.timeout(PATIENCE):
            yield near
    finally:
        near.close()
        await asyncio.wait_for(asyncio.gather(near.closed.wait(), far.closed.wait()), PATIENCE)


async def count(to: int) -> AsyncIterator[int]:
    for number in range(to):
        yield number


async def test_results_items_and_long_lines_come_back() -> None:
    handlers: dict[str, Handler] = {"add": lambda a, b: a + b, "count": count, "length": len_of}
    async with connected(handlers) as near:
        assert await asyncio.gather(*(near.call("add", a=n, b=1) for n in range(50))) == list(range(1, 51))
        assert [item async for item in near.items("count", to=200)] == list(range(200))
        assert await near.call("length", text="x" * 5_000_000) == 5_000_000


async def len_of(text: str) -> int:
    return len(text)


async def test_an_error_keeps_its_class_its_remedies_and_its_detail() -> None:
    def fail() -> None:
        raise SchedulerError("it died", remedies=(Remedy("simmate-remote logs lab", "why"),), detail="last line")

    async with connected({"fail": fail}) as near:
        with pytest.raises(SchedulerError) as caught:
            await near.call("fail")
        assert caught.value.remedies == (Remedy("simmate-remote logs lab", "why"),)
        assert caught.value.detail == "last line"


@pytest.mark.parametrize(
    ("call", "words"),
    [("nothing", "answers to the call"), ("divide", "ZeroDivisionError"), ("strange", "not JSON serializable")],
)
async def test_every_failure_is_an_answer(call: str, words: str) -> None:
    async with connected({"divide": lambda: 1 / 0, "strange": object}) as near:
        with pytest.raises(KeeperError, match=words):
            await near.call(call)


async def test_an_answer_that_is_too_long_is_an_error_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MAX_LINE", 1000)
    async with connected({"long": lambda: "x" * 2000, "short": lambda: "x"}) as near:
        with pytest.raises(KeeperError, match="longer than"):
            await near.call("long")
        with pytest.raises(KeeperError, match="longer than"):
            await near.call("short", argument="x" * 2000)
        assert await near.call("short") == "x"


async def test_a_call_that_is_withdrawn_is_cancelled_there() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with connected({"wait": wait}) as near:
        task = asyncio.ensure_future(near.call("wait"))
        await begun.wait()
        task.cancel()
        await cancelled.wait()


async def test_the_one_who_is_called_may_call_back() -> None:
    async with asyncio.timeout(PATIENCE):
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        far = Caller()

        async def ask_back() -> str:
            return f"{await far.call('name')}, asked back"

        far.handlers["greet"] = ask_back
        await loop.connect_accepted_socket(lambda: far, theirs)
        _, caller = await loop.create_unix_connection(lambda: Caller({"name": lambda: "near"}), sock=ours)
        assert await caller.call("greet") == "near, asked back"
        caller.close()
        await far.closed.wait()


async def test_a_lost_connection_fails_pending_and_later_calls_at_once() -> None:
    begun = asyncio.Event()

    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with connected({"wait": wait}) as near:
        task = asyncio.ensure_future(near.call("wait"))
        await begun.wait()
        near.close()
        with pytest.raises(KeeperError, match="lost"):
            await task
        with pytest.raises(KeeperError, match="lost"):
            await near.call("wait")


@pytest.mark.parametrize(
    "line",
    [
        b"garbage", b"[]", b'{"id": [], "call": "x"}', b'{"call": "x"}', b"{}", b"[" * 100_000, b"\xff",
        b"x" * (calls.MAX_LINE + 1),
    ],
    ids=["no JSON", "a list", "an id that is a list", "no id", "empty", "deep", "no text", "long"],
)  # fmt: skip
async def test_what_cannot_be_read_closes_the_connection(line: bytes) -> None:
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().connect_accepted_socket(Caller, theirs)
    reader, writer = await asyncio.open_connection(sock=ours)
    writer.write(line + b"\n")
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_items_wait_for_a_reader_that_does_not_keep_up() -> None:
    given = 0

    async def endless() -> AsyncIterator[str]:
        nonlocal given
        while True:
            given += 1
            yield "x" * 10_000

    ours, theirs = socket.socketpair()
    far = Caller({"endless": endless})
    await asyncio.get_running_loop().connect_accepted_socket(lambda: far, theirs)
    with ours:
        ours.sendall(json.dumps({"id": 1, "call": "endless"}).encode() + b"\n")
        await until(lambda: not far._writable.is_set())
        for _ in range(20):
            await asyncio.sleep(0)
        assert given < 1000
    await asyncio.wait_for(far.closed.wait(), PATIENCE)
