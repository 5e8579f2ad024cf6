"""Frames as a hostile end would make them: valid headers, fields that matter, and long runs of nearly the same."""

from __future__ import annotations

from fuzz.script import Script
from simmate_remote.streams.frames import HEADER, MAX_OFFSET, MAX_STREAM, Kind

WINDOW = 16 * 1024
RUNS = (1, 1, 1, 1, 2, 7, 300, 4000, 1, 1, 1, 1, 1, 1, 1, 1)
MOST_BYTES = 512 * 1024

_STREAMS = (1, 3, 2, 5, 4, 6, 0, 8, 8194, 8196, 2**31, MAX_STREAM - 1, MAX_STREAM)
_OFFSETS = (0, 1, 2, 9, 10, 8190, WINDOW - 1, WINDOW, WINDOW + 1, 4 * WINDOW, MAX_OFFSET, MAX_OFFSET + 1, 2**64 - 1)
_STEPS = (0, 1, 2, 3, 4, 8192, -1, -2)
_CREDITS = tuple(number.to_bytes(8, "big") for number in (0, 1, WINDOW, WINDOW + 5, 2 * WINDOW, MAX_OFFSET, 2**64 - 1))
_PAYLOADS = (b"", b"x", b"scheduler", b"control", b"../../etc", b"\xff\xfe", b"\x1b[2J", b"y" * 64, b"z" * 1500)


def frames(script: Script) -> bytes:
    """Give one frame, a run of frames that differ by a step, or bytes that are none."""
    number = script.choice([*Kind, *Kind, *Kind, None])
    if number is None:
        return script.take(script.number() % 64)
    stream, offset = script.near(_STREAMS, 4), script.near(_OFFSETS, 8)
    payload = script.choice((*_PAYLOADS, *_CREDITS) if number is not Kind.ACK else _CREDITS)
    run, next_stream, next_offset = script.choice(RUNS), script.choice(_STEPS), script.choice(_STEPS)
    shape = script.number()
    if shape >= 250:  # a length that is not the payload's
        return HEADER.pack(number, stream, offset, script.number(4)) + payload
    run = min(run, MOST_BYTES // (HEADER.size + len(payload)))
    behind = frames(script) if shape >= 200 and not script.over else b""
    return behind + b"".join(
        HEADER.pack(number, (stream + n * next_stream) % 2**32, (offset + n * next_offset) % 2**64, len(payload))
        + payload
        for n in range(run)
    )


def pieces(script: Script, data: bytes) -> list[bytes]:
    """Cut bytes as a hostile end, or the network, may cut them."""
    size = script.choice((len(data), len(data), 1, 18, 1000, 256 * 1024)) or 1
    return [data[start : start + size] for start in range(0, len(data), max(size, len(data) // 20_000))]
