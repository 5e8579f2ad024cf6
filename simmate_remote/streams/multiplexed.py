"""What the multiplexer keeps of each stream and of each carrier."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from simmate_remote.streams.frames import FrameReader
from simmate_remote.streams.receiving import ReceivingHalf
from simmate_remote.streams.sending import SendingHalf


@dataclass
class StreamState:
    """A stream, as one end knows it."""

    number: int
    target: str
    ours: bool
    sending: SendingHalf
    receiving: ReceivingHalf
    open_sent: bool = False
    opened_on: int | None = None  # until it is known to be open there, its bytes follow on the same carrier
    known_there: bool = False
    acknowledge: bool = False
    full: bool = False
    end_told: bool = False
    reset_reason: str | None = None
    reset_sent: bool = False
    queued: bool = False


@dataclass
class CarrierState:
    """A carrier, as one end knows it."""

    reader: FrameReader = field(default_factory=FrameReader)
    frames: deque[bytes] = field(default_factory=deque)
    ready: bool = False
