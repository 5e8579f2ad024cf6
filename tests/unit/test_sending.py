"""The sending half against the plainest model: one long string and three positions in it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from simmate_remote.errors import ProtocolError
from simmate_remote.streams.budget import Budget
from simmate_remote.streams.sending import SendingHalf

CREDIT = 100


class SendingAgainstModel(RuleBasedStateMachine):
    """Everything that an application, a carrier and the other end can do to it, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.half = SendingHalf(Budget(CREDIT))
        self.written = bytearray()
        self.sent = 0
        self.arrived = 0  # what the other end may truthfully acknowledge
        self.acknowledged = 0
        self.credit = CREDIT

    @precondition(lambda self: not self.half.finished)
    @rule(data=st.binary(min_size=1, max_size=60))
    def write(self, data: bytes) -> None:
        self.half.write(data)
        self.written += data

    @rule()
    def finish(self) -> None:
        self.half.finished = True

    @rule(limit=st.integers(1, 50))
    def send(self, limit: int) -> None:
        piece = self.half.next_piece(limit)
        if self.sent >= min(len(self.written), self.credit):
            assert piece is None
            return
        assert piece is not None
        offset, data = piece
        assert offset == self.sent
        assert 0 < len(data) <= limit
        assert bytes(data) == self.written[offset : offset + len(data)]
        self.sent += len(data)
        self.arrived = max(self.arrived, self.sent)
        assert self.sent <= self.credit

    @rule(part=st.integers(0, 100), more=st.integers(0, 100))
    def acknowledge(self, part: int, more: int) -> None:
        offset = self.arrived * part // 100
        self.credit = max(self.credit, offset + more)
        self.half.acknowledge(offset, offset + more)
        self.acknowledged = max(self.acknowledged, offset)
        self.sent = max(self.sent, self.acknowledged)

    @precondition(lambda self: self.half.finished and self.arrived == len(self.written))
    @rule()
    def acknowledge_the_end(self) -> None:
        self.half.acknowledge(len(self.written) + 1, self.credit)
        self.acknowledged = self.sent = len(self.written)
        assert self.half.done
        assert not self.half.has_something_to_send

    @rule()
    def lose_the_carrier(self) -> None:
        self.half.rewind()
        self.sent = self.acknowledged

    @invariant()
    def keeps_what_is_not_acknowledged_and_no_more(self) -> None:
        assert self.half.kept == len(self.written) - self.acknowledged
        assert self.half.sent == self.sent


SendingAgainstModel.TestCase.settings = settings(max_examples=150)
TestSendingHalf = SendingAgainstModel.TestCase


def test_an_acknowledgement_of_what_was_never_written_is_refused() -> None:
    half = SendingHalf(Budget(CREDIT))
    half.write(b"abc")
    with pytest.raises(ProtocolError):
        half.acknowledge(4, CREDIT)
    half.finished = True
    half.acknowledge(4, CREDIT)
    assert half.done
