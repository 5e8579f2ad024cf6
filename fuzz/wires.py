"""Connections that lead nowhere: they count what is written to them."""

from __future__ import annotations

import asyncio
from typing import Any

from simmate_remote.streams.conversation import CarrierEnd, Conversation


class Wire(asyncio.Transport):
    """A transport whose other end is the fuzzer."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__({"stderr": b"", "exit_status": 1})
        self.protocol = protocol
        self.sent = bytearray()
        self.reading = True
        self.over = False
        protocol.connection_made(self)

    def feed(self, data: bytes) -> None:
        """Let bytes arrive, as a transport would."""
        if self.reading and not self.over:
            self.protocol.data_received(data)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.sent += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.over

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.over:
            self.over = True
            self.protocol.connection_lost(None)


class Pipe(CarrierEnd):
    """A carrier past its handshake, which takes what is sent, or does not.

    Args:
        conversation: What it belongs to.
        number: Its number there.
    """

    suspect = False

    def __init__(self, conversation: Conversation, number: int) -> None:
        self.full = False
        self.number = number
        self._conversation = conversation
        conversation.attach(number, self)

    def send(self, frames: list[bytes | memoryview]) -> None:
        """Take frames, and forget them."""

    def abort(self) -> None:
        self._conversation.lose(self.number)
