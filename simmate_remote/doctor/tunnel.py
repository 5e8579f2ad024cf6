"""A keeper that is started for an examination, in a folder of its own, and what a stream through it is worth."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import statistics
import time

from simmate_remote.doctor.command import run_command
from simmate_remote.errors import SimmateRemoteError
from simmate_remote.keeper.launch import Launched, launch
from simmate_remote.keeper.request import LaunchRequest, ProcessRequest
from simmate_remote.link import Link
from simmate_remote.session.order import SessionOrder
from simmate_remote.streams.calls import Caller
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.keepalive import Keepalive

LEASE = 5.0
"""Seconds after which that keeper ends by itself, should this process be killed."""

END_LIMIT = 10.0
QUESTIONS = 10
FEWEST = 3
"""One of so many questions may meet a host that is busy with something else for a moment."""

FIRST_SIZE = 64 * 1024
GROWTH = 8
LARGEST_SIZE = 8 * 1024 * 1024
LONG_ENOUGH = 0.25
"""Seconds after which a measurement is believed; until then, another question is asked, or more is sent."""

_ECHO = "doctor"


class Tunnel:
    """A keeper on the host, and a stream through it to a program that echoes.

    Args:
        link: The login.
        order: The host.
        parent: A folder there in which the keeper's own is made, with mode 0700; no shell finds anything in its name.
        python: The interpreter that ``connect`` would find in the host's own folder; None: it found none.
    """

    def __init__(self, link: Link, order: SessionOrder, parent: str, python: str | None) -> None:
        self._link = link
        self._order = order
        self._python = python or order.python
        self._folder = f"{parent}/simmate-remote-doctor-{secrets.token_hex(6)}"
        self._conversation = Conversation(first=True, owner="doctor")
        self._keeper: Caller | None = None
        self._gone = asyncio.Event()
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.seconds = 0.0
        self.launched: Launched | None = None

    async def start(self) -> None:
        """Start the keeper as ``connect`` does, but in a folder of its own, so that nothing of the user's is touched.

        Raises:
            SimmateRemoteError: It did not start, or did not answer.
        """
        began = time.monotonic()
        request = LaunchRequest(
            folder=self._folder,
            python=self._python,
            lease=LEASE,
            distributions=(),
            keepalive=Keepalive(self._order.keepalive_interval, self._order.keepalive_tries),
            process=ProcessRequest("program", "simmate_remote.doctor.host.program", {}),
        )
        self._conversation.carriers_changed = self._carriers_changed
        self.launched = await launch(self._link, self._conversation, request, lambda _: None)
        _, self._keeper = self._conversation.open("control", Caller)
        await self._keeper.call("describe")
        await self._keeper.call("offer", target=_ECHO, place={"module": "simmate_remote.doctor.host.echo"})
        self.seconds = time.monotonic() - began

    async def round_trip(self) -> float:
        """Measure how many seconds a byte takes through the tunnel and back; the median of several."""
        reader, writer = await self._open()
        times: list[float] = []
        while len(times) < FEWEST or (len(times) < QUESTIONS and sum(times) < LONG_ENOUGH):
            began = time.perf_counter()
            writer.write(b"up 0\n")
            await reader.readexactly(1)
            times.append(time.perf_counter() - began)
        return statistics.median(times)

    async def speed(self, direction: str, round_trip: float) -> tuple[float, int]:
        """Measure bytes a second through the tunnel, with as many bytes as it takes, 8 MiB at most.

        Args:
            direction: ``up`` or ``down``.
            round_trip: Seconds of one, which is taken off.

        Returns:
            Bytes a second, and the bytes of the last transfer.
        """
        reader, writer = await self._open()
        size = FIRST_SIZE
        while True:
            content = bytes(size) if direction == "up" else b""
            began = time.perf_counter()
            writer.write(f"{direction} {size}\n".encode() + content)
            await writer.drain()
            left = 1 if direction == "up" else size
            while left:
                data = await reader.read(left)
                if not data:
                    raise ConnectionError("the stream through the tunnel ended")
                left -= len(data)
            seconds = time.perf_counter() - began
            if seconds > LONG_ENOUGH or size >= LARGEST_SIZE:
                # Of a round trip that changes from one to the next, no more than half of it all is taken off.
                return size / max(seconds - round_trip, seconds / 2), size
            size = min(size * GROWTH, LARGEST_SIZE)

    async def close(self) -> None:
        """End the keeper and remove its folder; never raises, and ends within seconds."""
        with contextlib.suppress(SimmateRemoteError, TimeoutError, OSError):
            async with asyncio.timeout(END_LIMIT):
                if self._stream is not None:
                    self._stream[1].close()
                if self._keeper is not None:
                    await self._keeper.call("stop", reason="the examination is over")
                    await self._gone.wait()
        self._conversation.close("the examination is over")
        with contextlib.suppress(SimmateRemoteError, TimeoutError):
            async with asyncio.timeout(END_LIMIT):
                await run_command(self._link, f"exec /bin/sh -c 'rm -rf {self._folder}'")

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._stream is None:
            self._stream = await self._conversation.open_reader_writer(_ECHO)
        return self._stream

    def _carriers_changed(self) -> None:
        if not self._conversation.carriers:
            self._gone.set()
