"""The reader of frames: any bytes, cut anywhere."""

from __future__ import annotations

import contextlib

from fuzz.bounds import Budget, Finding, check_kept
from fuzz.hostile_frames import frames, pieces
from fuzz.script import Script
from simmate_remote.errors import ProtocolError
from simmate_remote.streams.frames import MAX_CONTROL_PAYLOAD, FrameReader, Kind, encode

MOST_KEPT = 2 * MAX_CONTROL_PAYLOAD  # a bytearray may have room for more than it holds


def check(data: bytes) -> None:
    """Read frames; what is handed on was sent, and no more than one control frame is ever kept."""
    script, budget, reader = Script(data), Budget(), FrameReader()
    handed_on = 0
    with contextlib.suppress(ProtocolError):
        while not script.over:
            for piece in pieces(script, frames(script)):
                budget.fed += len(piece)
                handed_on += sum(len(frame.payload) for frame in reader.read(piece))
            check_kept(MOST_KEPT, reader)
    if handed_on > budget.fed:
        raise Finding("more was handed on than was sent")
    budget.check()


def seeds() -> list[bytes]:
    """Give inputs to begin with."""
    return [b"", bytes(range(64)), encode(Kind.DATA, 1, 0, b"hello"), bytes([5, 0, 0, 3, 7, 0, 1, 0, 2])]
