"""The protocol's state machine: exact bytes whatever the carriers do."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simmate_remote.errors import ProtocolError
from simmate_remote.streams import events as mux
from simmate_remote.streams.frames import Kind, encode
from simmate_remote.streams.multiplexer import Multiplexer

WINDOW = 4096


@dataclass
class Side:
    """One end, with the plainest of applications: it notes what arrives and takes it at once."""

    machine: Multiplexer
    opened: dict[int, str] = field(default_factory=dict)
    received: dict[int, bytearray] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    closed: dict[int, str | None] = field(default_factory=dict)
    consume: bool = True

    def take(self, carrier: int, data: bytes) -> None:
        for event in self.machine.receive(carrier, data):
            if isinstance(event, mux.Opened):
                assert event.stream not in self.opened, "a stream was opened twice"
                self.opened[event.stream] = event.target
                self.machine.accept(event.stream)
            elif isinstance(event, mux.Received):
                self.received.setdefault(event.stream, bytearray()).extend(event.data)
                if self.consume:
                    self.machine.consume(event.stream, len(event.data))
            elif isinstance(event, mux.Ended):
                assert event.stream not in self.ended
                self.ended.add(event.stream)
            elif isinstance(event, mux.Closed):
                self.closed[event.stream] = event.reason


class World:
    """Two ends and the carriers between them; each carrier keeps its own order, and can be cut at any byte."""

    def __init__(self) -> None:
        self.near = Side(Multiplexer(first=True, window=WINDOW))
        self.far = Side(Multiplexer(first=False, window=WINDOW))
        self.wires: dict[int, dict[str, bytearray]] = {}
        self.next_carrier = 1

    def attach(self) -> int:
        number = self.next_carrier
        self.next_carrier += 1
        self.wires[number] = {"near": bytearray(), "far": bytearray()}
        self.near.machine.attach(number)
        self.far.machine.attach(number)
        return number

    def cut(self, number: int) -> None:
        del self.wires[number]
        self.near.machine.lose(number)
        self.far.machine.lose(number)

    def load(self, number: int, size: int = 1 << 20) -> None:
        """Let both ends write to a carrier."""
        for name, side in (("near", self.near), ("far", self.far)):
            for piece in side.machine.next_frames(number, size):
                self.wires[number][name] += piece

    def carry(self, number: int, direction: str, size: int) -> None:
        """Bring some of a carrier's bytes to the other end."""
        wire = self.wires[number][direction]
        data = bytes(wire[:size])
        del wire[:size]
        if data:
            (self.far if direction == "near" else self.near).take(number, data)

    def settle(self) -> None:
        """Bring everything over, until nothing moves."""
        for _ in range(10_000):
            moved = False
            for number in list(self.wires):
                self.load(number)
                for direction in ("near", "far"):
                    if self.wires[number][direction]:
                        moved = True
                        self.carry(number, direction, 1 << 20)
            if not moved:
                return
        raise AssertionError("the two ends never come to rest")


actions = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.booleans()),
        st.tuples(st.just("write"), st.booleans(), st.integers(0, 5), st.integers(1, 3000)),
        st.tuples(st.just("finish"), st.booleans(), st.integers(0, 5)),
        st.tuples(st.just("attach"), st.booleans()),
        st.tuples(st.just("cut"), st.integers(0, 3)),
        st.tuples(st.just("load"), st.integers(0, 3), st.integers(1, 5000)),
        st.tuples(st.just("carry"), st.integers(0, 3), st.booleans(), st.integers(1, 3000)),
        st.tuples(st.just("carry"), st.integers(0, 3), st.booleans(), st.integers(1, 60)),
    ),
    max_size=80,
)


@given(actions)
@settings(max_examples=400)
def test_every_stream_is_exact_whatever_is_cut_and_however_carriers_overtake_each_other(steps: list) -> None:
    world = World()
    world.attach()
    world.settle()
    sides = {True: world.near, False: world.far}
    written: dict[bool, dict[int, bytearray]] = {True: {}, False: {}}
    finished: dict[bool, set[int]] = {True: set(), False: set()}
    targets: dict[int, str] = {}
    seed = 0
    for step in steps:
        kind, *rest = step
        if kind == "open":
            number = sides[rest[0]].machine.open(f"target {len(targets)}")
            targets[number] = f"target {len(targets)}"
        elif kind in ("write", "finish"):
            near, which = rest[0], rest[1]
            usable = [n for n in targets if (n % 2 == 1) == near or n in sides[near].opened]
            if not usable:
                continue
            number = usable[which % len(usable)]
            if number in finished[near] or number in sides[near].closed:
                continue
            if kind == "write":
                seed += 1
                data = bytes((seed * 7 + i) % 251 for i in range(rest[2]))
                sides[near].machine.write(number, data)
                written[near].setdefault(number, bytearray()).extend(data)
            else:
                sides[near].machine.finish(number)
                finished[near].add(number)
        elif kind == "attach" and len(world.wires) < 3:
            number = world.attach()
            if rest[0]:  # past the handshake
                world.load(number, 0)
                world.carry(number, "near", 1 << 20)
                world.carry(number, "far", 1 << 20)
        elif world.wires and kind in ("cut", "load", "carry"):
            number = sorted(world.wires)[rest[0] % len(world.wires)]
            if kind == "cut":
                world.cut(number)
            elif kind == "load":
                world.load(number, rest[1])
            else:
                world.carry(number, "near" if rest[1] else "far", rest[2])
    if not world.wires:
        world.attach()
    world.settle()
    for near in (True, False):
        receiver = sides[not near]
        assert {n: bytes(b) for n, b in receiver.received.items()} == {n: bytes(b) for n, b in written[near].items()}
        assert receiver.ended == finished[near]
        assert receiver.opened == {n: t for n, t in targets.items() if (n % 2 == 1) == near}
    both = finished[True] & finished[False]
    assert world.near.closed == world.far.closed == dict.fromkeys(both)


@given(st.integers(0, 400), st.integers(0, 400))
@settings(max_examples=300)
def test_a_conversation_resumes_when_its_only_carrier_is_cut_at_any_byte(up: int, down: int) -> None:
    world = World()
    first = world.attach()
    world.settle()
    number = world.near.machine.open("echo")
    world.near.machine.write(number, b"question" * 10)
    world.near.machine.finish(number)
    world.load(first)
    world.carry(first, "far", down)
    world.carry(first, "near", up)
    answered = number in world.far.opened
    if answered:
        world.far.machine.write(number, b"answer" * 10)
        world.far.machine.finish(number)
        world.load(first)
        world.carry(first, "far", down)
    world.cut(first)
    world.attach()
    world.settle()
    if number not in world.far.closed and not answered:
        world.far.machine.write(number, b"answer" * 10)
        world.far.machine.finish(number)
        world.settle()
    assert bytes(world.far.received[number]) == b"question" * 10
    assert bytes(world.near.received[number]) == b"answer" * 10
    assert world.near.closed == world.far.closed == {number: None}


def test_a_reader_that_takes_nothing_stops_the_writer_at_the_window_and_is_caught_up_later() -> None:
    world = World()
    world.attach()
    world.far.consume = False
    number = world.near.machine.open("slow")
    assert world.near.machine.write(number, b"x" * (WINDOW - 1))
    assert not world.near.machine.write(number, b"y" * WINDOW)
    world.settle()
    assert len(world.far.received[number]) == WINDOW
    world.far.consume = True
    world.far.machine.consume(number, WINDOW)
    world.settle()
    assert bytes(world.far.received[number]) == b"x" * (WINDOW - 1) + b"y" * WINDOW


@pytest.mark.parametrize("lost", ["before the reset", "with the reset", "never"])
def test_a_reset_reaches_the_other_end_even_when_its_carrier_is_lost(lost: str) -> None:
    world = World()
    carrier = world.attach()
    number = world.near.machine.open("x")
    world.near.machine.write(number, b"something")
    world.settle()
    if lost == "before the reset":
        world.cut(carrier)
    world.near.machine.reset(number, "enough")
    if lost == "with the reset":
        world.load(carrier)
        world.cut(carrier)
    if not world.wires:
        world.attach()
    world.settle()
    assert world.far.closed == {number: "enough"}


def test_a_long_message_does_not_hold_up_a_short_one() -> None:
    near = Multiplexer(first=True)
    far = Multiplexer(first=False)
    near.attach(1)
    far.attach(1)
    near.receive(1, b"".join(far.next_frames(1, 1 << 20)))
    long, short = near.open("long"), near.open("short")
    near.write(long, bytes(10_000_000))
    near.write(short, b"hello")
    sent = b"".join(near.next_frames(1, 200_000))
    assert b"hello" in sent


@given(st.binary(max_size=300))
@settings(max_examples=500)
def test_bytes_of_a_hostile_far_side_do_nothing_but_break_the_conversation(data: bytes) -> None:
    machine = Multiplexer(first=True, window=WINDOW)
    machine.attach(1)
    number = machine.open("scheduler")
    machine.next_frames(1, 1000)
    try:
        machine.receive(1, data)
    except ProtocolError:
        return
    machine.write(number, b"still here")


kinds = st.sampled_from(list(Kind))


@given(st.lists(st.tuples(kinds, st.integers(0, 6), st.integers(0, 3 * WINDOW), st.binary(max_size=64)), max_size=60))
@settings(max_examples=500)
def test_frames_of_a_hostile_far_side_never_make_it_keep_more_than_its_window(frames: list) -> None:
    machine = Multiplexer(first=True, window=WINDOW)
    machine.attach(1)
    for _ in range(3):
        machine.open("scheduler")
    received = 0
    try:
        for kind, stream, offset, payload in frames:
            for event in machine.receive(1, encode(kind, stream, offset, payload)):
                received += len(event.data) if isinstance(event, mux.Received) else 0
            machine.next_frames(1, 1000)
    except ProtocolError:
        pass
    assert received <= 6 * WINDOW


@pytest.mark.parametrize(
    ("kind", "stream", "offset", "payload"),
    [
        (Kind.ACK, 1, 1_000_000, b"\0" * 8),
        (Kind.ACK, 1, 0, b""),
        (Kind.DATA, 1, WINDOW, b"beyond the credit"),
        (Kind.DATA, 99, 0, b"never opened"),
        (Kind.OPEN, 3, 0, b"an odd number"),
        (Kind.OPEN, 2, 0, b"\xff\xfe"),
        (Kind.HELLO, 0, 0, b"{}"),
        (Kind.FIN, 0, 0, b""),
    ],
)
def test_what_the_protocol_does_not_allow_is_refused(kind: Kind, stream: int, offset: int, payload: bytes) -> None:
    machine = Multiplexer(first=True, window=WINDOW)
    machine.attach(1)
    machine.open("scheduler")
    with pytest.raises(ProtocolError):
        machine.receive(1, encode(kind, stream, offset, payload))
