"""Frames: whatever a carrier does to the bytes, the same frames come out, or none."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.errors import ProtocolError
from simmate_remote.streams.frames import (
    HEADER,
    MAX_CONTROL_PAYLOAD,
    MAX_DATA_PAYLOAD,
    MAX_OFFSET,
    MAX_STREAM,
    Frame,
    FrameReader,
    Kind,
    encode,
    encode_data_header,
)

control = st.builds(
    Frame,
    st.sampled_from([kind for kind in Kind if kind is not Kind.DATA]),
    st.integers(0, MAX_STREAM),
    st.integers(0, MAX_OFFSET),
    st.binary(max_size=200),
)
data = st.builds(
    Frame, st.just(Kind.DATA), st.integers(0, MAX_STREAM), st.integers(0, 2**40), st.binary(min_size=1, max_size=200)
)


def read_in_cuts(content: bytes, cuts: list[int]) -> list[Frame]:
    """Read bytes in pieces, and join again what the reader hands on in pieces."""
    reader = FrameReader()
    frames: list[Frame] = []
    places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    for start, end in itertools.pairwise(places):
        for frame in reader.read(content[start:end]):
            last = frames[-1] if frames else None
            payload = bytes(frame.payload)
            if (
                last is not None
                and frame.kind is last.kind is Kind.DATA
                and frame.stream == last.stream
                and frame.offset == last.offset + len(last.payload)
            ):
                frames[-1] = last._replace(payload=bytes(last.payload) + payload)
            else:
                frames.append(frame._replace(payload=payload))
    return frames


@given(st.lists(st.one_of(control, data), max_size=12), st.lists(st.integers(0, 3000), max_size=30))
def test_any_cut_of_any_frames_reads_back_the_same(frames: list[Frame], cuts: list[int]) -> None:
    content = b"".join(encode(*frame) for frame in frames)
    whole = read_in_cuts(content, [])
    assert read_in_cuts(content, cuts) == read_in_cuts(content, list(range(len(content)))) == whole
    assert b"".join(bytes(frame.payload) for frame in whole) == b"".join(bytes(frame.payload) for frame in frames)
    assert [frame for frame in whole if frame.kind is not Kind.DATA] == [
        frame for frame in frames if frame.kind is not Kind.DATA
    ]


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=10))
def test_hostile_bytes_raise_a_protocol_error_and_nothing_else(content: bytes, cuts: list[int]) -> None:
    reader = FrameReader()
    places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    total = 0
    try:
        for start, end in itertools.pairwise(places):
            total += sum(len(frame.payload) for frame in reader.read(content[start:end]))
    except ProtocolError:
        pass
    assert total <= len(content)


@pytest.mark.parametrize(
    "header",
    [
        HEADER.pack(0, 0, 0, 0),
        HEADER.pack(99, 0, 0, 0),
        HEADER.pack(Kind.OPEN, 1, 0, MAX_CONTROL_PAYLOAD + 1),
        HEADER.pack(Kind.DATA, 1, 0, MAX_DATA_PAYLOAD + 1),
        HEADER.pack(Kind.DATA, 1, 0, 0),
        HEADER.pack(Kind.ACK, 1, MAX_OFFSET + 1, 0),
    ],
)
def test_a_header_that_no_version_1_sends_is_refused_before_its_payload_is_awaited(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(FrameReader().read(header))


def test_the_bytes_of_a_long_frame_are_handed_on_as_they_come_and_never_kept() -> None:
    piece = bytes(64)
    reader = FrameReader()
    list(reader.read(encode_data_header(1, 0, MAX_DATA_PAYLOAD)))
    list(reader.read(piece))
    tracemalloc.start()
    try:
        handed_on = len(piece)
        while handed_on < MAX_DATA_PAYLOAD:
            handed_on += sum(len(frame.payload) for frame in reader.read(piece))
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024
    finally:
        tracemalloc.stop()
