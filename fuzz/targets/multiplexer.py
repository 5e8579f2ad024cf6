"""The state machine: hostile frames on several carriers, an application that takes bytes or does not."""

from __future__ import annotations

from fuzz.bounds import Budget, Finding, check_kept
from fuzz.hostile_frames import WINDOW, frames, pieces
from fuzz.script import Script
from simmate_remote.errors import ProtocolError
from simmate_remote.streams import events
from simmate_remote.streams.multiplexer import MAX_STREAMS, Multiplexer
from simmate_remote.streams.receiving import MAX_PIECES_AHEAD

OURS = 3
OBJECTS = 250  # bytes that Python needs for a small piece and its place
MOST_KEPT = (
    OURS * (4 * WINDOW + MAX_PIECES_AHEAD * OBJECTS)  # ahead of what is missing, in streams that we opened
    + MAX_STREAMS * 2000  # streams that the other end opened, and that are reset
    + 5 * MAX_STREAMS * OBJECTS  # answers that the carriers have not taken
    + MAX_STREAMS * OBJECTS  # ranges of numbers that were left out
)


class NearEnd:
    """A near end that opened a few streams, offers nothing, and does as the script says."""

    def __init__(self) -> None:
        self.machine = Multiplexer(first=True, window=WINDOW)
        self.open = {self.machine.open("scheduler") for _ in range(OURS)}
        self.taken: dict[int, int] = {}
        self.written = 0
        self.takes = True
        for carrier in (1, 2):
            self.machine.attach(carrier)

    def hear(self, found: list[events.Event]) -> None:
        """Do as a conversation does that refuses every stream."""
        for event in found:
            if isinstance(event, events.Opened):
                if event.stream % 2 or event.stream in self.open:
                    raise Finding(f"stream {event.stream} was opened by the wrong end, or twice")
                self.open.add(event.stream)
                self.machine.reset(event.stream, "nothing here is called so")
            elif isinstance(event, events.Received):
                if event.stream % 2 == 0:
                    raise Finding("bytes of a stream that was refused")
                self.taken[event.stream] = self.taken.get(event.stream, 0) + len(event.data)
                if self.takes:
                    self.machine.consume(event.stream, len(event.data))
            elif isinstance(event, events.Closed):
                self.open.discard(event.stream)

    def act(self, script: Script) -> None:
        """Do one thing that an application or a carrier does."""
        stream, what = script.choice((1, 3, 5)), script.number() % 6
        if what == 0:
            self.takes = not self.takes
        elif what == 1 and stream in self.open and self.written < 64 * WINDOW:
            self.written += WINDOW
            self.machine.write(stream, bytes(WINDOW))
        elif what == 2 and stream in self.open:
            self.machine.finish(stream)
        elif what == 3:
            self.open.discard(stream)
            self.machine.reset(stream, "enough")
        elif what == 4:
            carrier = script.choice((1, 2))
            if carrier in self.machine.carriers:
                self.machine.lose(carrier)
            else:
                self.machine.attach(carrier)
        else:
            for _ in range(50):
                if not self.machine.next_frames(script.choice((1, 2)), 64 * 1024):
                    break


def check(data: bytes) -> None:
    """Play a hostile far end until the script is over or the conversation is."""
    script, budget, end = Script(data), Budget(), NearEnd()
    try:
        while not script.over and budget.fed < 4_000_000:
            if script.number() < 64:
                end.act(script)
                continue
            carrier = script.choice((1, 2))
            for piece in pieces(script, frames(script)):
                budget.fed += len(piece)
                end.hear(end.machine.receive(carrier, piece))
    except ProtocolError:
        pass
    check_kept(MOST_KEPT + 2 * end.written, end.machine)
    budget.check()


def seeds() -> list[bytes]:
    """Give inputs to begin with."""
    ready, open_, data, fin, ack = 3, 6, 7, 8, 9
    step = {"same": 0, "one": 1, "two": 2, "far": 5}
    one, many = 0, 7

    def run(kind: int, stream: int, offset: int, payload: int, times: int, next_stream: int, next_offset: int) -> bytes:
        # In the order in which `check` and `frames` decide: a frame, carrier 1, the fields, the shape, the cut.
        return bytes([64, 0, kind, stream, offset, payload, times, next_stream, next_offset, 0, 0])

    begin = run(ready, 6, 0, 0, one, 0, 0)
    return [
        begin,
        begin + run(ack, 0, 0, 2, one, 0, 0) + run(data, 0, 0, 2, one, 0, 0) + run(fin, 0, 3, 0, one, 0, 0),
        begin + run(data, 0, 2, 1, many, step["same"], step["two"]) + run(fin, 0, 7, 0, many, 0, 0),
        begin + run(data, 0, 5, 1, many, step["same"], step["two"]) + run(data, 0, 0, 1, many, 0, step["one"]),
        begin + run(open_, 2, 0, 1, many, step["far"], 0),
        begin + run(open_, 2, 0, 1, many, step["two"], 0) + run(fin, 2, 0, 0, many, step["two"], 0),
        begin + run(4, 6, 0, 0, many, 0, 1),
    ]
