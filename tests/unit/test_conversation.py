"""Two conversations over real sockets: streams are exact, and know nothing of what happens to their carriers."""

from __future__ import annotations

import array
import asyncio
import random
import re

import pytest

from simmate_remote.errors import StreamResetError
from simmate_remote.streams.conversation import Conversation
from simmate_remote.streams.frames import Kind, encode
from tests.unit.wires import PATIENCE, WINDOW, Pair, Recorder, joined, settle, until


async def echo(pair: Pair, content: bytes) -> bytes:
    """Send through the far end's echo, and give what came back."""
    reader, writer = await pair.near.open_reader_writer("echo")

    async def send() -> None:
        for start in range(0, len(content), 100_000):
            writer.write(content[start : start + 100_000])
            await writer.drain()
        writer.write_eof()

    _, answer = await asyncio.gather(send(), reader.read())
    writer.close()
    await writer.wait_closed()
    return answer


async def test_megabytes_come_back_bit_for_bit_and_nothing_stays_open() -> None:
    content = random.Random(1).randbytes(5_000_000)
    async with joined() as pair:
        assert await echo(pair, content) == content
        assert pair.near.streams == 0
        await until(lambda: not pair.far.streams)


async def test_two_hundred_streams_at_once_do_not_mix() -> None:
    contents = [random.Random(seed).randbytes(seed * 100) for seed in range(200)]
    async with joined() as pair:
        assert await asyncio.gather(*(echo(pair, content) for content in contents)) == contents


async def test_bytes_are_exact_when_carriers_are_cut_again_and_again_in_the_middle() -> None:
    content = random.Random(2).randbytes(6_000_000)
    cuts = 0
    async with joined() as pair:
        answer = asyncio.ensure_future(echo(pair, content))
        chance = random.Random(3)
        while cuts < 15 and not answer.done():
            for _ in range(chance.randrange(1, 12)):
                await asyncio.sleep(0)
            near, far = pair.carriers.pop()
            (near if cuts % 2 else far).abort()
            cuts += 1
            await pair.attach()
        assert await answer == content
    assert cuts > 3


async def test_two_carriers_share_the_work_and_either_may_be_lost() -> None:
    content = random.Random(4).randbytes(2_000_000)
    async with joined() as pair:
        await pair.attach()
        assert len(pair.near.carriers) == len(pair.far.carriers) == 2
        answer = asyncio.ensure_future(echo(pair, content))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not answer.done()
        pair.carriers[0][0].abort()
        assert await answer == content
        assert pair.near.carriers == [2]


async def test_a_stream_that_is_opened_without_any_carrier_begins_when_there_is_one() -> None:
    pair = Pair()
    answer = asyncio.ensure_future(echo(pair, b"patient"))
    await settle()
    await pair.attach()
    assert await asyncio.wait_for(answer, PATIENCE) == b"patient"
    pair.near.close("over")
    pair.far.close("over")
    await settle()


async def test_a_half_close_leaves_the_other_direction_open() -> None:
    async with joined() as pair:
        transport, near = pair.near.open("record", Recorder)
        transport.write(b"question")
        transport.write_eof()
        far = await pair.recorders.get()
        await far.ended.wait()
        assert bytes(far.received) == b"question"
        assert not far.lost.done()
        far.transport.write(b"answer")
        far.transport.close()
        assert await near.lost is None
        assert bytes(near.received) == b"answer"
        assert await far.lost is None


async def test_an_abort_reaches_the_other_end_as_a_reset() -> None:
    async with joined() as pair:
        transport, near = pair.near.open("record", Recorder)
        transport.write(b"begun")
        far = await pair.recorders.get()
        await far.wait_for_bytes(5)
        transport.abort()
        assert not near.lost.done(), "who aborts is not told before abort() returns"
        error = await far.lost
        assert isinstance(error, StreamResetError)
        assert "broken off" in error.what
        assert await near.lost is None
        await until(lambda: not (pair.near.streams or pair.far.streams))


async def test_a_target_that_is_refused_resets_the_stream_with_the_reason() -> None:
    async with joined() as pair:
        _, near = pair.near.open("nobody", Recorder)
        error = await near.lost
        assert isinstance(error, StreamResetError)
        assert "'nobody'" in error.what


async def test_an_acceptor_that_fails_resets_the_stream_with_the_reason() -> None:
    async def accept(target: str) -> asyncio.Protocol:
        raise KeyError("port")

    async with joined(accept) as pair:
        _, near = pair.near.open("broken", Recorder)
        error = await near.lost
        assert isinstance(error, StreamResetError)
        assert "KeyError" in error.what


async def test_back_pressure_of_a_reader_reaches_the_writer_and_ends_with_it() -> None:
    content = random.Random(5).randbytes(4 * WINDOW)
    async with joined() as pair:
        transport, near = pair.near.open("record", Recorder)
        far = await pair.recorders.get()
        await far.connected.wait()
        far.transport.pause_reading()
        assert not far.transport.is_reading()
        sent = 0
        while not near.paused.is_set():
            transport.write(content[sent : sent + 10_000])
            sent += 10_000
            await asyncio.sleep(0)
        assert sent <= 2 * WINDOW + 10_000, "one window is kept by the writer, one waits for the reader"
        assert not far.received
        far.transport.resume_reading()
        await near.resumed.wait()
        transport.write(content[sent:])
        transport.write_eof()
        await far.ended.wait()
        assert bytes(far.received) == content


async def test_a_stream_whose_reading_is_paused_for_ever_does_not_hold_up_another() -> None:
    async with joined() as pair:
        transport, _ = pair.near.open("record", Recorder)
        far = await pair.recorders.get()
        await far.connected.wait()
        far.transport.pause_reading()
        transport.write(bytes(4 * WINDOW))
        assert await echo(pair, bytes(2 * WINDOW)) == bytes(2 * WINDOW)


async def test_what_waits_in_a_paused_stream_comes_before_its_end() -> None:
    async with joined() as pair:
        transport, _ = pair.near.open("record", Recorder)
        far = await pair.recorders.get()
        await far.connected.wait()
        far.transport.pause_reading()
        far.transport.write_eof()
        transport.write(b"last words")
        transport.close()
        await until(lambda: not pair.far.streams)
        assert not far.received
        assert not far.lost.done()
        far.transport.resume_reading()
        assert bytes(far.received) == b"last words"
        assert far.ended.is_set()
        assert await far.lost is None


@pytest.mark.parametrize("over", [False, True])
async def test_an_abort_drops_what_waits_in_a_paused_stream_and_is_told(over: bool) -> None:
    async with joined() as pair:
        transport, _ = pair.near.open("record", Recorder)
        far = await pair.recorders.get()
        await far.connected.wait()
        far.transport.pause_reading()
        transport.write(b"never read")
        if over:
            far.transport.write_eof()
            transport.close()
            await until(lambda: not pair.far.streams)
        else:
            await echo(pair, b"sent later, so what was sent before has arrived")
        far.transport.abort()
        far.transport.resume_reading()
        assert await far.lost is None
        assert not far.received


async def test_nothing_is_delivered_to_a_paused_stream_after_its_reset() -> None:
    async with joined() as pair:
        transport, _ = pair.near.open("record", Recorder)
        far = await pair.recorders.get()
        await far.connected.wait()
        far.transport.pause_reading()
        transport.write(b"too late")
        await echo(pair, b"sent later, so what was sent before has arrived")
        transport.abort()
        assert isinstance(await far.lost, StreamResetError)
        far.transport.resume_reading()
        assert not far.received


async def test_a_protocol_that_fails_loses_its_own_stream_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Recorder):
        def data_received(self, data: bytes) -> None:
            raise RuntimeError("a fault of the application")

    async def accept(target: str) -> asyncio.Protocol:
        return Broken() if target == "broken" else Recorder()

    async with joined(accept) as pair:
        well, _ = pair.near.open("well", Recorder)
        broken, near = pair.near.open("broken", Recorder)
        well.write(b"before")
        broken.write(b"anything")
        assert isinstance(await near.lost, StreamResetError)
        assert pair.near.carriers == [1]
        assert pair.near.streams == 1
    assert "a fault of the application" in caplog.text


async def test_what_is_written_may_change_afterwards_and_have_any_format() -> None:
    numbers = array.array("d", range(1000))
    buffer = bytearray(b"before")
    async with joined() as pair:
        transport, _ = pair.near.open("record", Recorder)
        transport.write(buffer)
        buffer[:] = b"after!"
        transport.write(memoryview(numbers))
        transport.write(memoryview(numbers.tobytes()).cast("d"))
        transport.write(memoryview(b"a-b-c-")[::2])
        transport.write_eof()
        far = await pair.recorders.get()
        await far.ended.wait()
        assert bytes(far.received) == b"before" + 2 * numbers.tobytes() + b"abc"


async def test_the_end_of_a_conversation_is_told_to_every_stream_and_to_who_opens_another() -> None:
    async with joined() as pair:
        _, near = pair.near.open("record", Recorder)
        pair.near.close("the session ended")
        error = await near.lost
        assert isinstance(error, StreamResetError)
        assert error.what == "the session ended"
        with pytest.raises(StreamResetError, match="the session ended"):
            pair.near.open("record", Recorder)


async def test_a_breach_of_the_protocol_ends_the_conversation_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with joined() as pair:
        _, near = pair.near.open("record", Recorder)
        pair.near.receive(1, encode(Kind.DATA, 77, 0, b"of a stream that never was"))
        assert isinstance(await near.lost, StreamResetError)
        await until(lambda: not pair.near.carriers)
    assert re.search("stream 77", caplog.text)


async def test_streams_given_up_while_no_carrier_is_there_never_break_the_conversation() -> None:
    pair = Pair()
    for _ in range(10_000):
        transport, _ = pair.near.open("record", asyncio.Protocol)
        transport.abort()
    await pair.attach()
    assert await asyncio.wait_for(echo(pair, b"still here"), PATIENCE) == b"still here"
    assert len(pair.far._multiplexer._peer_skipped) < 5_000
    pair.near.close("over")
    pair.far.close("over")
    await settle()


def test_a_token_is_a_secret_of_256_bits() -> None:
    async def tokens() -> set[str]:
        return {Conversation(first=True).token for _ in range(10)}

    found = asyncio.run(tokens())
    assert len(found) == 10
    assert all(len(token) == 64 for token in found)


async def test_a_sender_without_end_is_stopped_when_the_reader_has_closed() -> None:
    async with joined() as pair:
        transport, near = pair.near.open("record", Recorder)
        far = await pair.recorders.get()
        await far.connected.wait()
        transport.write(b"the last words")
        transport.close()
        await far.ended.wait()
        sent = 0
        while not far.lost.done():
            if not far.paused.is_set():
                far.transport.write(bytes(10_000))
                sent += 10_000
            await asyncio.sleep(0)
        assert isinstance(await far.lost, StreamResetError)
        assert bytes(far.received) == b"the last words"
        assert WINDOW <= sent <= 4 * WINDOW
        assert await near.lost is None
        await until(lambda: not (pair.near.streams or pair.far.streams))


async def test_the_first_write_of_a_turn_is_sent_within_it_and_the_others_together() -> None:
    async with joined() as pair:
        transport, _ = pair.near.open("record", Recorder)
        far = await pair.recorders.get()
        await far.connected.wait()
        await settle()
        sent: list[bytes] = []
        (carrier, _) = pair.carriers[0]
        send = carrier.send
        carrier.send = lambda frames: (sent.append(b"".join(frames)), send(frames))
        for word in (b"first", b"second", b"third"):
            transport.write(word)
        assert len(sent) == 1
        assert sent[0].endswith(b"first")
        await far.wait_for_bytes(16)
        assert bytes(far.received) == b"firstsecondthird"
        assert len(sent) == 2


async def test_a_round_trip_is_measured_on_the_carriers_that_are_there() -> None:
    async with joined() as pair:
        assert 0 < await pair.near.round_trip() < PATIENCE
        await pair.attach()
        pair.carriers[0][0].abort()
        assert 0 < await pair.near.round_trip() < PATIENCE
    assert not pair.near._questions
