"""What a hostile end may send: it costs little, keeps little, opens nothing, and ends in an error that is ours.

The readers themselves are played by ``make fuzz``; here are its seeds, and what it found.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.bounds import kept_bytes
from fuzz.loops import settle
from fuzz.targets import NAMES, load
from fuzz.wires import Pipe, Wire
from simmate_remote.errors import KeeperError, ProtocolError
from simmate_remote.keeper.dialogue import MAX_NOISE, Dialogue
from simmate_remote.link.base import Destination
from simmate_remote.link.known_hosts import matches, read_keys
from simmate_remote.link.settings import HostSettings
from simmate_remote.link.target import Target
from simmate_remote.streams.calls import MAX_LINE, MAX_SERVING, Caller
from simmate_remote.streams.carrier import FarCarrier, NearCarrier
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.frames import FrameReader, Kind, encode
from simmate_remote.streams.keepalive import Keepalive
from simmate_remote.streams.multiplexer import Multiplexer
from simmate_remote.streams.skipped import SkippedNumbers

WINDOW = 16 * 1024
SECONDS_PER_BYTE = 3e-6
"""Some ten times what is needed; what was quadratic took a hundred times as long."""


@pytest.mark.parametrize("name", NAMES)
def test_what_the_fuzzer_begins_with_does_no_harm(name: str) -> None:
    target = load(name)
    for seed in target.seeds():
        target.check(seed)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary(max_size=300))
@settings(max_examples=30)
def test_neither_do_any_bytes(name: str, data: bytes) -> None:
    load(name).check(data)


def assert_cheap(size: int, work: Callable[[], object]) -> None:
    """Fail if work on so many bytes takes more processor time than they allow."""
    began = time.thread_time()
    work()
    assert time.thread_time() - began < 0.2 + SECONDS_PER_BYTE * size


def near_end() -> tuple[Multiplexer, int]:
    machine = Multiplexer(first=True, window=WINDOW)
    machine.attach(1)
    number = machine.open("scheduler")
    machine.receive(1, encode(Kind.READY))
    machine.next_frames(1, 1000)
    return machine, number


@pytest.mark.parametrize("gap", [4_096, 8_192, 1_000_000])
def test_leaving_out_a_great_many_numbers_costs_and_keeps_nothing(gap: int) -> None:
    machine, _ = near_end()
    data = b"".join(encode(Kind.OPEN, 2 + gap * number, 0, b"x") for number in range(4_000))
    assert_cheap(len(data), lambda: machine.receive(1, data))
    assert kept_bytes(machine) < 4_000 * 2_000


def test_bytes_ahead_of_a_gap_do_not_make_each_further_byte_slower() -> None:
    machine, number = near_end()
    ahead = b"".join(encode(Kind.DATA, number, offset, b"x") for offset in range(8_192, 8_192 + 8_000, 2))
    behind = b"".join(encode(Kind.DATA, number, offset, b"x") for offset in range(8_000))
    machine.receive(1, ahead)
    assert_cheap(len(behind), lambda: machine.receive(1, behind))


def test_saying_the_end_again_and_again_is_cheap() -> None:
    machine, number = near_end()
    for offset in range(2, 8_000, 2):
        machine.receive(1, encode(Kind.DATA, number, offset, b"x"))
    data = encode(Kind.FIN, number, 9_000) * 10_000
    assert_cheap(len(data), lambda: machine.receive(1, data))


def test_streams_that_begin_and_end_while_nothing_is_taken_are_not_answered_without_end() -> None:
    machine = Multiplexer(first=False, window=WINDOW)
    machine.attach(1)

    def open_and_end_streams() -> None:
        for number in range(1, 100_000, 2):
            machine.receive(1, encode(Kind.OPEN, number, 0, b"control"))
            machine.accept(number)
            machine.finish(number)
            machine.receive(1, encode(Kind.FIN, number) + encode(Kind.ACK, number, 1, bytes(8)))

    with pytest.raises(ProtocolError, match="faster than it takes answers"):
        open_and_end_streams()


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=60))
def test_numbers_that_were_left_out_are_known_until_they_are_taken(steps: list[tuple[bool, int]]) -> None:
    skipped, model, highest = SkippedNumbers(1_000), set(), 1
    for add, number in steps:
        if add:
            run = range(highest + 2, highest + 2 * number, 2)
            skipped.add(run)
            model.update(run)
            highest += 2 * number
        else:
            assert skipped.take(number) == (number in model)
            model.discard(number)
        assert all((each in skipped) == (each in model) for each in range(highest + 4))


def test_of_too_many_runs_the_oldest_are_forgotten() -> None:
    skipped = SkippedNumbers(3)
    for start in range(1, 41, 10):
        skipped.add(range(start, start + 6, 2))
    assert len(skipped) == 3
    assert 1 not in skipped
    assert skipped.take(13)
    assert len(skipped) == 3
    assert 11 not in skipped
    assert 15 in skipped


class Idle(asyncio.Protocol):
    """An application that takes nothing until it is told to, and then notes all."""

    def __init__(self) -> None:
        self.received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self.received += data


@pytest.mark.parametrize("cut", [1, 17, 18, 10_000])
async def test_bytes_that_wait_in_tiny_pieces_need_little_more_than_their_size(cut: int) -> None:
    conversation = Conversation(first=True, window=WINDOW)
    Pipe(conversation, 1)
    _, idle = conversation.open("record", Idle)
    data = b"".join(encode(Kind.DATA, 1, offset, bytes([offset % 251])) for offset in range(WINDOW))
    for start in range(0, len(data), cut):
        conversation.receive(1, data[start : start + cut])
    assert kept_bytes(conversation) < 4 * WINDOW
    idle.transport.resume_reading()
    assert bytes(idle.received) == bytes(offset % 251 for offset in range(WINDOW))
    conversation.close("over")


async def test_a_byte_that_waits_does_not_keep_what_came_with_it() -> None:
    conversation = Conversation(first=True, window=WINDOW)
    Pipe(conversation, 1)
    conversation.open("record", Idle)
    ballast = encode(Kind.PONG, 0, 0, bytes(60_000))
    for offset in range(100):
        conversation.receive(1, ballast + encode(Kind.DATA, 1, offset, b"x"))
    assert kept_bytes(conversation) < 4 * WINDOW
    conversation.close("over")


async def test_a_stream_that_is_opened_and_reset_in_one_breath_is_nobodys_concern(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked: list[str] = []

    async def accept(target: str) -> asyncio.Protocol:
        asked.append(target)
        return asyncio.Protocol()

    conversation = Conversation(first=True, accept=accept)
    Pipe(conversation, 1)
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    conversation.receive(1, encode(Kind.OPEN, 2, 0, b"control") + encode(Kind.RESET, 2, 0, b"no"))
    await settle()
    assert (asked, failures, caplog.records, conversation.streams) == ([], [], [], 0)
    conversation.close("over")


DEEP = b"[" * 30_000
LONG_NUMBER = b'{"protocol": ' + b"1" * 5_000 + b"}"


@pytest.mark.parametrize(
    "greeting", [DEEP, b'{"reason": ' + b"[" * 900 + b"]" * 900 + b"}", LONG_NUMBER, b"\xff", b"[]"]
)
async def test_a_greeting_that_cannot_be_read_is_refused_at_both_ends(greeting: bytes) -> None:
    conversation = Conversation(first=True)
    near = NearCarrier(conversation, Keepalive())
    Wire(near).feed(encode(Kind.REFUSE, payload=greeting))
    assert isinstance(near.joined.exception(), ProtocolError)
    far = FarCarrier({}.get, lambda token, owner: conversation, dict)
    wire = Wire(far)
    wire.feed(encode(Kind.HELLO, payload=greeting))
    assert [frame.kind for frame in FrameReader().read(bytes(wire.sent))] == [Kind.REFUSE]
    assert wire.over


async def test_a_carrier_that_was_refused_keeps_nothing_of_what_came() -> None:
    far = FarCarrier({}.get, lambda token, owner: Conversation(first=False), dict)
    wire = Wire(far)
    wire.feed(b"\xff" * 600_000)
    assert wire.over
    assert kept_bytes(far) < 100_000


def line(**message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"


@pytest.mark.parametrize(
    "told",
    [
        5,
        None,
        {},
        {"error": "KeeperError"},
        {"what": []},
        {"since": "x"},
        {"since": -1e300},
        {"remedies": [1]},
        {"detail": 5},
    ],
)
async def test_an_error_that_is_told_in_no_known_form_is_an_error_of_ours(told: Any) -> None:
    usual = {"error": "KeeperError", "what": "it failed", "host": None, "since": 1.0, "meanwhile": None, "remedies": []}
    caller = Caller()
    wire = Wire(caller)
    call = asyncio.ensure_future(caller.call("describe"))
    await settle()
    whole = isinstance(told, dict) and told and "error" not in told
    wire.feed(line(id=1, error={**usual, "detail": None, **told} if whole else told))
    with pytest.raises(ProtocolError, match="cannot be read"):
        await call
    wire.abort()


async def test_answers_that_come_faster_than_they_are_taken_end_their_call_and_no_other() -> None:
    caller = Caller()
    wire = Wire(caller)
    items = caller.items("read_logs")
    first = asyncio.ensure_future(anext(items))
    other = asyncio.ensure_future(caller.call("describe"))
    await settle()
    item = line(id=1, item="x" * 100_000)
    wire.feed(item)
    assert len(await first) == 100_000
    for _ in range(10 * MAX_LINE // len(item)):
        wire.feed(item)
    assert kept_bytes(caller) < 3 * MAX_LINE
    taken = []

    async def take_all() -> None:
        async for each in items:
            taken.append(each)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(KeeperError, match="faster than they were taken"):
        await take_all()
    assert 0 < len(taken) * len(item) <= 2 * MAX_LINE
    assert b'{"id": 1, "cancel": true}' in wire.sent
    wire.feed(line(id=2, result="still here"))
    assert await other == "still here"
    wire.abort()


@pytest.mark.parametrize(
    "flood",
    [
        b"".join(line(id=number, call="wait") for number in range(MAX_SERVING + 1)),
        line(id=1, call="wait") * 2,
        line(id=1, call=["wait"]),
        line(id=1, call="wait", arguments=[1]),
    ],
    ids=["too many", "one number twice", "no name", "no names of arguments"],
)
async def test_calls_that_no_near_end_makes_end_the_connection(flood: bytes) -> None:
    caller = Caller({"wait": asyncio.Event().wait})
    wire = Wire(caller)
    wire.feed(flood)
    await settle()
    assert wire.over


async def test_a_call_that_repeats_itself_in_its_error_is_answered_all_the_same() -> None:
    async def refuse(text: str) -> None:
        raise KeeperError(2 * text)

    wire = Wire(Caller({"refuse": refuse}))
    wire.feed(line(id=1, call="refuse", arguments={"text": "x" * 5_000_000}))
    wire.feed(line(id=2, call="y" * 1_000_000))
    wire.feed(line(id=3, call="refuse", arguments={"y" * 1_000_000: 1}))
    await settle()
    answers = [json.loads(each) for each in bytes(wire.sent).splitlines()]
    assert [each["id"] for each in answers] == [1, 2, 3]
    assert max(len(each["error"]["what"]) for each in answers) < 5_000
    wire.abort()


def listening() -> tuple[Dialogue, Wire]:
    dialogue = Dialogue(Destination("lab", "lab"), "n" * 32, "python3")
    return dialogue, Wire(dialogue)


async def test_noise_that_comes_byte_by_byte_is_cheap_and_hides_no_word() -> None:
    dialogue, wire = listening()
    noise = [b"x"] * (2 * MAX_NOISE) + [b"\n"] * 1000

    def feed() -> None:
        for piece in noise:
            wire.feed(piece)

    assert_cheap(len(noise), feed)
    assert kept_bytes(dialogue, wire) < 5 * MAX_NOISE
    for piece in b"n" * 32 + b' {"at": "bootstrap"}\n':
        wire.feed(bytes([piece]))
    assert await dialogue.hear("bootstrap") == {"at": "bootstrap"}


async def test_words_without_end_are_not_kept() -> None:
    dialogue, wire = listening()
    for _ in range(100):
        wire.feed((b"n" * 32 + b" {}\n") * 1000)
    assert kept_bytes(dialogue, wire) < 5 * MAX_NOISE


@pytest.mark.parametrize(
    "word",
    [
        b"{x", b"5", b"[]", b"null", b"[" * 5_000, b'{"at": "gone", "previous": 5}', b'{"at": "gone"}',
        b'{"at": "gone", "previous": {"kind": "died", "since": 1, "ended": 1e300, "text": "t", "detail": ""}}',
        b'{"at": "elsewhere", "record": {"hostname": "x"}}', b'{"at": "elsewhere", "record": []}',
    ],
)  # fmt: skip
async def test_a_word_of_no_known_form_is_an_error_that_names_the_host(word: bytes) -> None:
    dialogue, wire = listening()
    wire.feed(b"n" * 32 + b" " + word + b"\n")
    with pytest.raises(KeeperError, match="cannot be understood") as caught:
        await dialogue.hear("bootstrap")
    assert caught.value.host == "lab"


def test_a_pattern_of_many_stars_is_cheap_and_means_what_it_did() -> None:
    assert_cheap(500, lambda: matches("*a" * 100, "a" * 250 + "!"))
    assert matches("*.lab.?rg,!x", "www.lab.org")
    assert not matches("*.lab.?rg", "www.lab.rg")
    assert matches("*", "")
    assert not matches("lab", "lab2")
    assert not matches("*,!la*", "lab")


def test_a_hashed_name_that_is_not_base64_is_nobodys(tmp_path: Path) -> None:
    assert not matches("|1|aé=|b", "lab")
    file = tmp_path / "known_hosts"
    file.write_text("|1|aé=|b ssh-ed25519 AAAA\n")
    assert read_keys(file) == []


def test_an_identity_of_a_user_who_does_not_exist_is_said() -> None:
    options = {"identityfile": ["~nobody-is-called-this/key"], "connecttimeout": ["²"]}
    settings_of_host = HostSettings(Target("lab"), options, {})
    with pytest.raises(ValueError, match="no such user"):
        settings_of_host.paths("identityfile")
    assert settings_of_host.number("connecttimeout", 7) == 7
