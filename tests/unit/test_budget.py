"""The memory that a conversation's streams have together is bounded, however many there are, and none stands still."""

from __future__ import annotations

import pytest

from simmate_remote.streams.budget import BUDGET, FIRST_WINDOW, SHARE, Budget
from simmate_remote.streams.events import Opened, Received, Writable
from simmate_remote.streams.multiplexer import WINDOW, Multiplexer

STREAMS = 400


class Ends:
    """Two ends and a carrier; the far end's application accepts everything, and takes only what it is told to."""

    def __init__(self, near: int = BUDGET, far: int = BUDGET) -> None:
        self.near, self.far = Multiplexer(first=True, budget=near), Multiplexer(first=False, budget=far)
        for end in (self.near, self.far):
            end.attach(1)
        self.waiting: dict[int, int] = {}
        self.writable: set[int] = set()

    def open(self, number: int) -> list[int]:
        streams = [self.near.open("echo") for _ in range(number)]
        self.carry()
        return streams

    def carry(self) -> None:
        """Bring all that either end has to say to the other, until both are silent."""
        while there := [bytes(piece) for piece in self.near.next_frames(1, BUDGET)]:
            self.hear(b"".join(there))
            self.hear_answers()
        self.hear_answers()

    def hear(self, data: bytes) -> None:
        for event in self.far.receive(1, data):
            if isinstance(event, Opened):
                self.far.accept(event.stream)
            elif isinstance(event, Received):
                self.waiting[event.stream] = self.waiting.get(event.stream, 0) + len(event.data)

    def hear_answers(self) -> None:
        answers = b"".join(bytes(piece) for piece in self.far.next_frames(1, BUDGET))
        self.writable |= {event.stream for event in self.near.receive(1, answers) if isinstance(event, Writable)}

    def fill(self, stream: int, piece: bytes) -> int:
        """Write until the stream is full, and say how much that was."""
        written = len(piece)
        while self.near.write(stream, piece):
            written += len(piece)
        return written


def test_a_stream_alone_soon_has_a_whole_window() -> None:
    ends = Ends()
    (stream,) = ends.open(1)
    ends.fill(stream, bytes(FIRST_WINDOW))
    ends.carry()
    assert ends.waiting[stream] == WINDOW


def test_what_waits_to_be_taken_is_bounded_for_all_streams_together_and_each_gets_something() -> None:
    ends = Ends()
    piece = bytes(WINDOW)
    for stream in (streams := ends.open(STREAMS)):
        ends.near.write(stream, piece)
    ends.carry()
    assert min(ends.waiting.values()) >= FIRST_WINDOW
    assert len(ends.waiting) == STREAMS
    assert WINDOW < sum(ends.waiting.values()) <= BUDGET + STREAMS * FIRST_WINDOW
    for stream in streams[:-1]:
        ends.far.reset(stream, "enough of it")
    ends.hear_answers()
    ends.carry()
    # What the others had is free again.
    (another,) = ends.open(1)
    ends.near.write(another, piece)
    ends.carry()
    assert ends.waiting[another] == WINDOW


def test_what_waits_to_be_sent_is_bounded_for_all_streams_together() -> None:
    ends = Ends()
    streams = ends.open(STREAMS)
    written = [ends.fill(stream, bytes(FIRST_WINDOW)) for stream in streams]
    assert min(written) >= FIRST_WINDOW
    assert BUDGET <= sum(written) <= BUDGET + STREAMS * FIRST_WINDOW + WINDOW


@pytest.mark.parametrize("cut", [False, True])
def test_a_stream_that_others_leave_little_room_goes_on_as_it_is_taken(cut: bool) -> None:
    ends = Ends(near=WINDOW, far=SHARE * WINDOW)
    last, *others = ends.open(20)
    # It has a whole window there, so the other end says nothing of a few bytes by itself.
    sent = ends.fill(last, bytes(FIRST_WINDOW))
    ends.carry()
    ends.far.consume(last, ends.waiting[last])
    ends.carry()
    for _ in range(2 * SHARE):  # what the others have there is full, and so is what they may keep here
        for stream in others:
            ends.near.write(stream, bytes(WINDOW // 16))
        ends.carry()
    for _ in range(20):
        before = ends.waiting[last]
        sent += (written := ends.fill(last, bytes(FIRST_WINDOW)))
        assert written == FIRST_WINDOW
        if cut:
            for end in (ends.near, ends.far):
                end.lose(1)
                end.attach(1)
            ends.hear_answers()
        ends.writable.clear()
        ends.carry()
        ends.far.consume(last, ends.waiting[last] - before)
        assert last in ends.writable
    assert ends.waiting[last] == sent


def test_the_first_streams_leave_something_to_those_after_them() -> None:
    budget = Budget(WINDOW)
    granted = [budget.grant(budget.first) for _ in range(STREAMS)]
    assert granted[0] == WINDOW
    assert granted == sorted(granted, reverse=True)
    assert granted[BUDGET // WINDOW] > budget.first
    assert budget.used <= BUDGET
    assert max(granted[1:]) <= FIRST_WINDOW + BUDGET // SHARE
