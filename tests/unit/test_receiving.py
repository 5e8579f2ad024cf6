"""The receiving half: pieces in any order and any number of times give the bytes once, in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.errors import ProtocolError
from simmate_remote.streams.budget import Budget
from simmate_remote.streams.receiving import MAX_PIECES_AHEAD, ReceivingHalf


def bytes_ahead(half: ReceivingHalf) -> int:
    return sum(len(piece) for piece in half._ahead.values())


@given(st.binary(min_size=1, max_size=200), st.data())
def test_pieces_that_come_twice_overlapping_and_in_any_order_give_the_bytes_once(content: bytes, data) -> None:
    half = ReceivingHalf(Budget(len(content)))
    size = len(content)
    pieces = data.draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(1, size)), max_size=20))
    pieces += [(start, 10) for start in range(0, size, 10)]
    out = bytearray()
    finish_at = data.draw(st.integers(0, len(pieces)))
    for index, (start, length) in enumerate(data.draw(st.permutations(pieces))):
        if index == finish_at:
            half.finish(size)
        for piece in half.receive(start, content[start : start + length]):
            out += piece
        assert bytes_ahead(half) <= max(0, half.credit - half.received)
    half.finish(size)
    assert bytes(out) == content
    assert half.done


def test_a_byte_that_came_before_its_time_is_kept_once_however_often_it_comes() -> None:
    content = bytes(range(200))
    half = ReceivingHalf(Budget(len(content)))
    for turn in range(1, 50):
        assert half.receive(turn, content[turn : 200 - turn]) == []
        assert half.receive(100 - turn, content[100 - turn : 100 + turn]) == []
        assert bytes_ahead(half) == 198
    assert half.receive(199, content[199:]) == []
    assert b"".join(half.receive(0, content[:1])) == content


def test_bytes_beyond_the_credit_are_refused() -> None:
    half = ReceivingHalf(Budget(10))
    half.receive(0, b"0123456789")
    with pytest.raises(ProtocolError):
        half.receive(10, b"x")


def test_an_end_that_moves_or_lies_before_what_came_is_refused() -> None:
    half = ReceivingHalf(Budget(10))
    half.receive(4, b"45")
    with pytest.raises(ProtocolError):
        half.finish(5)
    half.finish(8)
    with pytest.raises(ProtocolError):
        half.finish(9)
    with pytest.raises(ProtocolError):
        half.receive(8, b"8")


def test_bytes_that_are_scattered_without_end_are_refused() -> None:
    half = ReceivingHalf(Budget(4 * MAX_PIECES_AHEAD))
    for place in range(1, MAX_PIECES_AHEAD + 1):
        half.receive(2 * place, b"x")
    with pytest.raises(ProtocolError):
        half.receive(2 * MAX_PIECES_AHEAD + 2, b"x")
