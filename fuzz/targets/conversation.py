"""A conversation that offers nothing: hostile frames on two carriers, streams that are read or are not."""

from __future__ import annotations

import asyncio
from typing import Any

from fuzz.bounds import Budget, Finding, check_kept
from fuzz.hostile_frames import WINDOW, frames, pieces
from fuzz.loops import run_quietly, settle
from fuzz.script import Script
from fuzz.targets import multiplexer
from fuzz.wires import Pipe
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.transport import StreamTransport

MOST_KEPT = multiplexer.MOST_KEPT + 3 * 4 * WINDOW + 2_000_000


class Reader(asyncio.Protocol):
    """An application that takes what comes, or lets it wait; it checks that it is told nothing after the end."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.ended = False
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.ended or self.lost:
            raise Finding("bytes came after the end")

    def eof_received(self) -> bool:
        if self.ended or self.lost:
            raise Finding("the end came twice")
        self.ended = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lost:
            raise Finding("the connection was lost twice")
        self.lost = True


def act(script: Script, conversation: Conversation, transport: StreamTransport, pipe: Pipe) -> None:
    """Do one thing that an application or a carrier does."""
    what = script.number() % 8
    if what == 0:
        transport.pause_reading()
    elif what == 1:
        transport.resume_reading()
    elif what == 2:
        transport.write(bytes(100))
    elif what == 3:
        transport.write_eof()
    elif what == 4:
        transport.close()
    elif what == 5:
        transport.abort()
    elif what == 6:
        pipe.full = not pipe.full
        conversation.pump()
    elif pipe.number in conversation.carriers:
        conversation.lose(pipe.number)
    else:
        conversation.attach(pipe.number, pipe)


async def play(data: bytes) -> None:
    """Play a hostile far end against a near end with three streams."""
    script, budget = Script(data), Budget()
    conversation = Conversation(first=True, token="t" * 64, window=WINDOW)
    applications = [conversation.open("scheduler", Reader) for _ in range(3)]
    pipes = [Pipe(conversation, number) for number in (1, 2)]
    applications[1][0].pause_reading()
    while not script.over and conversation.ended is None and budget.fed < 4_000_000:
        what, pipe = script.number(), script.choice(pipes)
        if what < 32:
            await settle()
        elif what < 64:
            act(script, conversation, script.choice(applications)[0], pipe)
        else:
            for piece in pieces(script, frames(script)):
                budget.fed += len(piece)
                conversation.receive(pipe.number, piece)
    await settle()
    if conversation.streams > len(applications):
        raise Finding("a stream is open that was not agreed")
    check_kept(MOST_KEPT, conversation)
    conversation.close("the input is over")
    for transport, reader in applications:
        transport.resume_reading()
        if not (reader.lost or transport.is_closing()):
            raise Finding("a stream outlives its conversation")
    budget.check()


def check(data: bytes) -> None:
    """Play a hostile far end; see :func:`play`."""
    run_quietly(play(data))


def seeds() -> list[bytes]:
    """Give inputs to begin with."""
    # The decisions are those of the state machine's inputs.
    tiny = bytes([64, 0, 7, 1, 0, 1, 7, 0, 1, 0, 4])
    late = bytes([64, 0, 6, 2, 0, 2, 0, 0, 0, 0, 0, 64, 0, 10, 2, 0, 0, 0, 0, 0, 0, 0])
    begin = bytes([64, 0, 3, 6, 0, 0, 0, 0, 0, 0, 0])
    return [*multiplexer.seeds(), begin + tiny, begin + late, begin + bytes([40, 0, 1, 1]) + tiny]
