"""Two pipes as a transport: every byte, back pressure, and the end of either."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from simmate_remote.keeper.host.pipes import PipePair
from tests.unit.wires import PATIENCE, Recorder


class Lent(NamedTuple):
    """A pair of pipes, and the other end of each."""

    pipes: PipePair
    recorder: Recorder
    stdin: int
    stdout: int
    command: socket.socket


@contextlib.asynccontextmanager
async def lent() -> AsyncIterator[Lent]:
    reader, stdin = os.pipe()
    stdout, writer = os.pipe()
    held, command = socket.socketpair()
    recorder = Recorder()
    pipes = PipePair(recorder, reader, writer, held)
    pipes.start()
    with command:
        try:
            async with asyncio.timeout(PATIENCE):
                yield Lent(pipes, recorder, stdin, stdout, command)
        finally:
            pipes.abort()
            for descriptor in (stdin, stdout):
                with contextlib.suppress(OSError):  # the test has closed it
                    os.close(descriptor)


def read_all(descriptor: int) -> bytes:
    """Read to the end, as a command does."""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read()


async def test_many_pieces_arrive_in_their_order_and_close_waits_for_the_last() -> None:
    chance = random.Random(1)
    pieces = [chance.randbytes(chance.randrange(1, 30_000)) for _ in range(300)]
    async with lent() as there:
        for start in range(0, 300, 3):
            there.pipes.writelines(pieces[start : start + 3])
        assert there.recorder.paused.is_set()
        there.pipes.close()
        assert await asyncio.to_thread(read_all, there.stdout) == b"".join(pieces)
        assert await there.recorder.lost is None
        assert there.command.recv(1) == b"", "the command that lent the pipes may end"


async def test_a_writer_may_go_on_when_the_reader_has_caught_up() -> None:
    async with lent() as there:
        there.pipes.write(bytearray(1_000_000))
        assert there.recorder.paused.is_set()
        reading = asyncio.create_task(asyncio.to_thread(read_all, there.stdout))
        await there.recorder.resumed.wait()
        there.pipes.close()
        assert len(await reading) == 1_000_000


async def test_what_is_written_there_arrives_and_waits_while_reading_is_paused() -> None:
    async with lent() as there:
        there.pipes.pause_reading()
        os.write(there.stdin, b"early")
        for _ in range(5):
            await asyncio.sleep(0)
        assert not there.recorder.received
        there.pipes.resume_reading()
        await there.recorder.wait_for_bytes(5)
        assert bytes(there.recorder.received) == b"early"


@pytest.mark.parametrize("end", ["stdin", "stdout"])
async def test_the_loss_of_either_pipe_is_the_loss_of_both(end: str) -> None:
    async with lent() as there:
        os.close(getattr(there, end))
        there.pipes.write(b"to nobody")
        error = await there.recorder.lost
        assert isinstance(error, BrokenPipeError) if end == "stdout" else error is None
        assert there.pipes.is_closing()
        there.pipes.write(b"ignored")


async def test_files_are_refused_and_nothing_of_them_stays_open(tmp_path: Path) -> None:
    held, command = socket.socketpair()
    with command:
        descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        pipes = PipePair(Recorder(), descriptor, os.dup(descriptor), held)
        with pytest.raises(OSError, match="not permitted"):
            pipes.start()
        assert command.recv(1) == b""
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(descriptor)
