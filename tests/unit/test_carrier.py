"""Carriers over real Unix sockets: who is let in, who is refused, and how a silent one is noticed."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.errors import ConversationGoneError, ProtocolError
from simmate_remote.streams import carrier as carrier_module
from simmate_remote.streams.carrier import FarCarrier, NearCarrier
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.frames import Frame, FrameReader, Kind, encode
from simmate_remote.streams.keepalive import Keepalive
from tests.unit.wires import PATIENCE, Recorder, joined, settle, until

HELLO: dict[str, Any] = {
    "protocol": 2,
    "conversation": "t" * 32,
    "carrier": 1,
    "resume": False,
    "owner": "",
    "alive": [],
    "keepalive": [5.0, 3],
}


class Listener:
    """A far end at a Unix socket, which remembers its conversations."""

    def __init__(self) -> None:
        self.conversations: dict[str, Conversation] = {}

    def carrier(self) -> FarCarrier:
        return FarCarrier(self.conversations.get, self.begin, lambda: {"keeper": "1.2"})

    def begin(self, token: str, owner: str) -> Conversation:
        self.conversations[token] = Conversation(first=False, token=token, owner=owner)
        return self.conversations[token]


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[tuple[Listener, str]]:
    listener = Listener()
    path = str(folder / "carrier")
    server = await asyncio.get_running_loop().create_unix_server(listener.carrier, path)
    try:
        async with asyncio.timeout(PATIENCE):
            yield listener, path
    finally:
        server.close()
        for conversation in listener.conversations.values():
            conversation.close("the test is over")
        await settle()


async def greet(path: str, content: bytes) -> list[Frame]:
    """Send bytes to a far end and give the frames that it answers before it closes, or its greeting."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(content)
    frames: list[Frame] = []
    frame_reader = FrameReader()
    while not any(frame.kind is Kind.WELCOME for frame in frames) and (data := await reader.read(65536)):
        frames += frame_reader.read(data)
    writer.close()
    await writer.wait_closed()
    return frames


def hello(**changes: Any) -> bytes:
    return encode(Kind.HELLO, payload=json.dumps({**HELLO, **changes}).encode())


async def test_a_greeting_is_answered_with_what_the_far_end_says_of_itself(user_folders: Path) -> None:
    async with listening(user_folders) as (listener, path):
        near = Conversation(first=True)
        _, carrier = await asyncio.get_running_loop().create_unix_connection(
            lambda: NearCarrier(near, Keepalive()), path
        )
        assert await carrier.joined == {"protocol": 2, "keeper": "1.2"}
        assert near.carriers == listener.conversations[near.token].carriers == [1]
        near.close("over")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (hello(protocol=1), "was greeted in 1"),
        (hello(protocol=None), "was greeted in None"),
        (encode(Kind.READY, payload=b"{}"), "was greeted in None"),
        (hello(conversation="short"), "has no secret"),
        (hello(carrier="x"), "lacks something"),
        (hello(carrier=float("inf")), "lacks something"),
        (hello(alive=None), "lacks something"),
        (hello(keepalive=[1]), "lacks something"),
        (hello(owner="x" * 300), "may have 256 characters"),
        (hello(resume=True), "not known here any more"),
        (encode(Kind.HELLO, payload=b"[]"), "cannot be read"),
        (encode(Kind.HELLO, payload=b"\xff"), "cannot be read"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "longer than allowed"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", "longer than allowed"),
        (b"\0" * 17, "kind 0"),
    ],
)
async def test_who_greets_wrongly_is_refused_with_the_reason_and_joins_nothing(
    content: bytes, reason: str, user_folders: Path
) -> None:
    async with listening(user_folders) as (listener, path):
        (frame,) = await greet(path, content)
        assert frame.kind is Kind.REFUSE
        assert reason in json.loads(bytes(frame.payload))["reason"]
        assert not any(conversation.carriers for conversation in listener.conversations.values())


async def test_a_greeting_may_come_byte_by_byte(user_folders: Path) -> None:
    async with listening(user_folders) as (_, path):
        reader, writer = await asyncio.open_unix_connection(path)
        for byte in hello():
            writer.write(bytes([byte]))
            await writer.drain()
        (frame, *_) = FrameReader().read(await reader.read(1000))
        assert frame.kind is Kind.WELCOME
        writer.close()
        await writer.wait_closed()


async def test_a_conversation_that_has_ended_takes_no_carrier(user_folders: Path) -> None:
    async with listening(user_folders) as (listener, path):
        listener.begin(HELLO["conversation"], "").close("another session took over")
        (frame,) = await greet(path, hello())
        assert frame.kind is Kind.REFUSE
        assert "another session took over" in json.loads(bytes(frame.payload))["reason"]


async def test_who_says_nothing_is_dropped(user_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier_module, "HANDSHAKE_TIMEOUT", 0.05)
    async with listening(user_folders) as (_, path):
        assert await greet(path, b"") == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (encode(Kind.REFUSE, payload=b'{"reason": "not today"}'), "not today"),
        (encode(Kind.REFUSE, payload=b'{"reason": "all over", "gone": true}'), "all over"),
        (encode(Kind.REFUSE, payload=b'{"reason": "it is ending", "ending": true}'), "it is ending"),
        (encode(Kind.READY, payload=b"{}"), "READY frame where WELCOME was due"),
        (b"-bash: simmate-remote: command not found\n", "longer than allowed"),
        (b"", "ended before"),
    ],
)
async def test_a_near_end_that_is_not_welcomed_says_why(answer: bytes, reason: str) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        near = Conversation(first=True)
        _, carrier = await asyncio.get_running_loop().create_unix_connection(
            lambda: NearCarrier(near, Keepalive()), sock=ours
        )
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ProtocolError, match=reason):
            await asyncio.wait_for(carrier.joined, PATIENCE)
        assert near.carriers == []
    await settle()


@pytest.mark.parametrize("silent", ["near", "far"])
async def test_a_carrier_that_falls_silent_is_dropped_by_the_end_that_still_listens(silent: str) -> None:
    async with joined() as pair:
        near, far = await pair.attach(Keepalive(0.05, 2))
        pair.carriers[0][0].abort()
        (near if silent == "near" else far)._transport.pause_reading()
        listening_end = pair.far if silent == "near" else pair.near
        await until(lambda: not listening_end.carriers)


async def test_a_carrier_whose_other_end_answers_stays_however_little_is_said() -> None:
    async with joined() as pair:
        near, _ = await pair.attach(Keepalive(0.02, 1))
        pair.carriers[0][0].abort()
        answers = asyncio.Event()
        heard: list[bytes] = []
        receive = near.data_received

        def count_answers(data: bytes) -> None:
            heard.append(data)
            receive(data)
            if len(heard) == 10:
                answers.set()

        near._transport.set_protocol(near)
        near.data_received = count_answers
        await answers.wait()
        assert pair.near.carriers == pair.far.carriers == [2]


async def test_an_unanswered_question_makes_suspect_and_any_word_clears_of_it() -> None:
    async with joined() as pair:
        _, far = await pair.attach(Keepalive(0.1, 1000))
        pair.carriers[0][0].abort()
        far._transport.pause_reading()
        await until(lambda: pair.near.silent)
        assert pair.near.carriers == [2], "suspicion alone loses nothing"
        far._transport.resume_reading()
        await until(lambda: not pair.near.silent)


async def test_whoever_was_asleep_asks_at_once_and_blames_nobody_for_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = 0.0
    monkeypatch.setattr(carrier_module, "elapsed", lambda: time.monotonic() + slept)
    async with joined() as pair:
        await pair.attach(Keepalive(4.0, 1))
        pair.carriers[0][0].abort()
        asked = asyncio.Event()
        monkeypatch.setattr(pair.near, "ping", lambda number: asked.set())
        slept = 8 * 3600.0
        await asked.wait()
        assert pair.near.carriers == [2]


async def test_a_conversation_that_was_begun_is_resumed_and_never_begun_again(user_folders: Path) -> None:
    async with listening(user_folders) as (listener, path):
        loop = asyncio.get_running_loop()
        near = Conversation(first=True, owner="laptop")
        _, carrier = await loop.create_unix_connection(lambda: NearCarrier(near, Keepalive()), path)
        await carrier.joined
        assert listener.conversations.pop(near.token).owner == "laptop"
        _, second = await loop.create_unix_connection(lambda: NearCarrier(near, Keepalive()), path)
        with pytest.raises(ConversationGoneError, match="not known here any more"):
            await second.joined
        near.close("over")


async def test_a_new_carrier_tells_which_older_ones_are_lost() -> None:
    async with joined() as pair:
        (_, old_far) = pair.carriers[0]
        pair.near.lose(1)
        assert pair.far.carriers == [1], "the far end has noticed nothing"
        await pair.attach()
        assert pair.far.carriers == pair.near.carriers == [2]
        await until(old_far._transport.is_closing)


async def test_changes_of_carriers_are_told() -> None:
    async with joined() as pair:
        seen: list[list[int]] = []
        pair.near.carriers_changed = lambda: seen.append(pair.near.carriers)
        await pair.attach()
        pair.carriers[0][0].abort()
        pair.carriers[1][1].abort()
        await until(lambda: not pair.near.carriers)
        assert seen == [[1, 2], [2], []]
        _, waiting = pair.near.open("echo", Recorder)
        await settle()
        assert not waiting.lost.done(), "without a carrier a stream waits"
