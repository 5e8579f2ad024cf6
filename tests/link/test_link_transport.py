"""A carrier keeps asyncio's contract, over a real sshd."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from kinds import to
from sshd import Sshd, needs_sshd, running_sshd

from simmate_remote.link import Link, connect

pytestmark = [needs_sshd, pytest.mark.usefixtures("kind")]


class Recorder(asyncio.Protocol):
    """Writes down what happens to it.

    Args:
        keep_open: What ``eof_received`` returns.
    """

    def __init__(self, *, keep_open: bool = False) -> None:
        self.calls: list[str] = []
        self.data = bytearray()
        self.keep_open = keep_open
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.arrived = asyncio.Event()
        self.ended = asyncio.Event()
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.calls.append("made")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if self.calls[-1] != "data":
            self.calls.append("data")
        self.data += data
        self.arrived.set()

    def eof_received(self) -> bool:
        self.calls.append("eof")
        self.ended.set()
        return self.keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")
        self.lost.set_result(exc)

    def pause_writing(self) -> None:
        self.calls.append("pause")
        self.may_write.clear()

    def resume_writing(self) -> None:
        self.calls.append("resume")
        self.may_write.set()

    async def received(self, size: int) -> bytes:
        """Wait until so much has come."""
        async with asyncio.timeout(20):
            while len(self.data) < size:
                self.arrived.clear()
                await self.arrived.wait()
        return bytes(self.data)

    async def end(self) -> Exception | None:
        """Wait for the end."""
        async with asyncio.timeout(20):
            return await self.lost


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd"), "AcceptEnv FROM_* SET_*") as server:
        server.know()
        yield server


@pytest.fixture
async def link(sshd: Sshd) -> AsyncIterator[Link]:
    link = await connect(to("box", sshd.config()))
    yield link
    await link.close()


async def test_a_command_from_its_beginning_to_its_end(link: Link) -> None:
    transport, protocol = await link.open_command("echo out; echo err >&2; exit 3", Recorder)
    assert protocol.transport is transport
    assert await protocol.end() is None
    assert protocol.calls == ["made", "data", "eof", "lost"]
    assert protocol.data == b"out\n"
    assert transport.get_extra_info("stderr") == b"err\n"
    assert transport.get_extra_info("exit_status") == 3
    assert transport.is_closing()


async def test_what_is_written_to_a_command_that_has_ended_is_dropped(link: Link) -> None:
    transport, protocol = await link.open_command("exit 3", Recorder)
    await protocol.ended.wait()
    transport.write(b"too late")
    transport.write_eof()
    transport.write(b"still too late")
    assert await protocol.end() is None
    assert transport.get_extra_info("exit_status") == 3


async def test_the_exit_status_is_unknown_until_the_end(link: Link) -> None:
    transport, protocol = await link.open_command("cat", Recorder)
    assert transport.get_extra_info("exit_status") is None
    assert transport.get_extra_info("nothing", "default") == "default"
    transport.write_eof()
    await protocol.end()
    assert transport.get_extra_info("exit_status") == 0


async def test_a_command_that_a_signal_ends(link: Link, kind: str) -> None:
    transport, protocol = await link.open_command("kill -TERM $$", Recorder)
    await protocol.end()
    assert transport.get_extra_info("exit_signal") == ("TERM" if kind == "asyncssh" else None)
    assert transport.get_extra_info("exit_status") == -1


async def test_only_the_end_of_stderr_is_kept(link: Link) -> None:
    transport, protocol = await link.open_command("seq 1 50000 >&2", Recorder)
    await protocol.end()
    kept = transport.get_extra_info("stderr")
    assert len(kept) == 64 * 1024
    assert kept.endswith(b"49999\n50000\n")


async def test_bytes_come_back_as_they_were_sent(link: Link) -> None:
    transport, protocol = await link.open_command("cat", Recorder)
    pieces = [bytes(range(256)) * 1000, b"", bytearray(b"\x00\r\n\xff"), memoryview(b"abcdef")[1:4]]
    for piece in pieces:
        transport.write(piece)
    transport.writelines([b"one", memoryview(b"two")])
    expected = b"".join(pieces) + b"onetwo"
    assert await protocol.received(len(expected)) == expected
    transport.close()
    assert await protocol.end() is None


async def test_eof_ends_writing_and_not_reading(link: Link) -> None:
    transport, protocol = await link.open_command("cat >/dev/null; echo later", Recorder)
    assert transport.can_write_eof()
    transport.write(b"x")
    transport.write_eof()
    transport.write_eof()
    with pytest.raises(RuntimeError):
        transport.write(b"y")
    await protocol.end()
    assert protocol.data == b"later\n"


async def test_a_protocol_may_keep_the_transport_open_after_eof(link: Link, tmp_path: Path) -> None:
    transport, protocol = await link.open_command(
        f"exec >&- 2>&-; cat >{tmp_path}/got", lambda: Recorder(keep_open=True)
    )
    async with asyncio.timeout(10):
        await protocol.ended.wait()
    assert not transport.is_closing()
    transport.write(b"still here")
    transport.write_eof()
    await protocol.end()
    assert (tmp_path / "got").read_bytes() == b"still here"


async def test_close_sends_what_was_written_then_eof(link: Link, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    sent = bytes(5_000_000)
    transport, protocol = await link.open_command(
        f"mkfifo {fifo}; read _ <{fifo}; cd {tmp_path}; head -c {len(sent)} | sha256sum >part; mv part sum",
        Recorder,
    )
    transport.write(sent)
    assert transport.get_write_buffer_size() > 0
    transport.close()
    assert transport.is_closing()
    transport.write(b"dropped")
    assert "lost" not in protocol.calls
    _, gate = await link.open_command(f"while [ ! -p {fifo} ]; do sleep 0.01; done; echo >{fifo}", Recorder)
    await gate.end()
    assert await protocol.end() is None
    assert transport.get_write_buffer_size() == 0
    _, done = await link.open_command(
        f"for i in $(seq 500); do [ -f {tmp_path}/sum ] && break; sleep 0.01; done; cat {tmp_path}/sum", Recorder
    )
    await done.end()
    assert done.data.split()[0].decode() == hashlib.sha256(sent).hexdigest()


async def test_close_does_not_wait_for_a_command_that_ignores_it(link: Link) -> None:
    transport, protocol = await link.open_command("trap '' TERM HUP; sleep 30", Recorder)
    transport.close()
    transport.close()
    async with asyncio.timeout(10):
        assert await protocol.lost is None


async def test_nothing_is_received_after_close(link: Link) -> None:
    transport, protocol = await link.open_command("cat", Recorder)
    transport.write(b"x" * 100_000)
    await protocol.received(1)
    transport.close()
    before = len(protocol.data)
    await protocol.end()
    assert len(protocol.data) == before


async def test_abort_drops_what_was_not_sent(link: Link) -> None:
    transport, protocol = await link.open_command("sleep 30", Recorder)
    transport.write(bytes(10_000_000))
    assert transport.get_write_buffer_size() > 0
    transport.abort()
    assert "lost" not in protocol.calls
    async with asyncio.timeout(10):
        assert await protocol.lost is None
    transport.abort()
    assert protocol.calls.count("lost") == 1


async def test_writing_is_paused_and_resumed(link: Link) -> None:
    transport, protocol = await link.open_command("read _; cat >/dev/null; echo done", Recorder)
    transport.set_write_buffer_limits(high=100_000, low=10_000)
    assert transport.get_write_buffer_limits() == (10_000, 100_000)
    transport.write(b"\n")
    chunk = bytes(50_000)
    while protocol.may_write.is_set():
        transport.write(chunk)
    assert transport.get_write_buffer_size() > 100_000
    async with asyncio.timeout(10):
        await protocol.may_write.wait()
    assert transport.get_write_buffer_size() <= 10_000
    transport.write_eof()
    await protocol.end()
    assert protocol.data == b"done\n"
    with pytest.raises(ValueError, match="high"):
        transport.set_write_buffer_limits(high=1, low=2)


async def test_reading_is_paused_and_resumed(link: Link) -> None:
    transport, protocol = await link.open_command("head -c 1000000 /dev/zero", Recorder)
    transport.pause_reading()
    transport.pause_reading()
    assert not transport.is_reading()
    before = len(protocol.data)
    _, other = await link.open_command("echo the link goes on", Recorder)
    await other.end()
    assert len(protocol.data) == before
    transport.resume_reading()
    assert transport.is_reading()
    await protocol.end()
    assert len(protocol.data) == 1_000_000


async def test_a_protocol_that_pauses_at_once_loses_nothing(link: Link) -> None:
    class Careful(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.transport.pause_reading()

    transport, protocol = await link.open_command("echo early", Careful)
    _, other = await link.open_command("true", Recorder)
    await other.end()
    assert protocol.calls == ["made"]
    transport.resume_reading()
    await protocol.end()
    assert protocol.data == b"early\n"


async def test_a_protocol_can_be_replaced(link: Link) -> None:
    transport, first = await link.open_command("cat", Recorder)
    second = Recorder()
    second.connection_made(transport)
    transport.set_protocol(second)
    assert transport.get_protocol() is second
    transport.write(b"hello")
    await second.received(5)
    assert first.data == b""
    transport.close()
    await second.end()


async def test_a_socket_on_the_host(link: Link, tmp_path: Path) -> None:
    async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.close()

    path = tmp_path / "with space"
    server = await asyncio.start_unix_server(upper, path)
    transport, protocol = await link.open_socket(str(path), Recorder)
    transport.write(b"hello")
    transport.write_eof()
    assert await protocol.end() is None
    assert protocol.data == b"HELLO"
    assert protocol.calls == ["made", "data", "eof", "lost"]
    server.close()


@pytest.mark.parametrize("ending", ["close", "abort"])
async def test_a_socket_that_is_left_while_the_host_sends(link: Link, tmp_path: Path, ending: str) -> None:
    talks: set[asyncio.Task[None] | None] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.current_task())
        try:
            while True:
                writer.write(bytes(100_000))
                await writer.drain()
        except ConnectionError:
            pass  # the host's sshd has closed its end
        finally:
            writer.transport.abort()

    server = await asyncio.start_unix_server(talk, tmp_path / "talker")
    for _ in range(5):
        transport, protocol = await link.open_socket(str(tmp_path / "talker"), Recorder)
        await protocol.received(1)
        transport.write(bytes(5_000_000) if ending == "abort" else b"x")
        getattr(transport, ending)()
        assert await protocol.end() is None
        _, other = await link.open_command("echo the link goes on", Recorder)
        await other.end()
        assert other.data == b"the link goes on\n"
    for one in talks:
        assert one is not None
        one.cancel()  # sshd keeps its end open for as long as what we wrote is not read
        await asyncio.wait({one})
    server.close()


async def test_an_opening_that_is_given_up_costs_only_itself(link: Link, tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(lambda reader, writer: writer.close(), tmp_path / "there")
    for turns in range(8):
        for opening in (link.open_socket(str(tmp_path / "there"), Recorder), link.open_command("true", Recorder)):
            task = asyncio.create_task(opening)
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
    _, protocol = await link.open_command("echo the link goes on", Recorder)
    await protocol.end()
    assert protocol.data == b"the link goes on\n"
    server.close()


async def test_closing_the_link_ends_its_carriers(sshd: Sshd) -> None:
    link = await connect(to("box", sshd.config()))
    opened = [await link.open_command("cat", Recorder) for _ in range(3)]
    await link.close()
    await link.close()
    reason = await link.wait_lost()
    for transport, protocol in opened:
        assert await protocol.end() is reason
        assert transport.is_closing()
        transport.write(b"dropped")
        transport.close()
        transport.abort()


async def test_a_login_in_another_word(sshd: Sshd) -> None:
    link = await connect(to("box", sshd.config()))
    report = link.report  # type: ignore[attr-defined]
    assert report.server.startswith("SSH-2.0-OpenSSH")
    assert report.methods == ["publickey"]
    assert report.address == f"127.0.0.1 port {sshd.port}"
    await link.close()


async def test_only_the_environment_that_is_configured_is_sent(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HERE", "it's sent")
    monkeypatch.setenv("SET_BY_NOBODY", "secret")

    async def printed(**options: object) -> bytes:
        link = await connect(to("box", sshd.config(**options)))
        _, protocol = await link.open_command("printenv FROM_HERE SET_HERE SET_BY_NOBODY REFUSED; tty", Recorder)
        await protocol.end()
        await link.close()
        return bytes(protocol.data)

    assert await printed() == b"not a tty\n"
    assert await printed(SendEnv="FROM_* REFUSED", SetEnv="SET_HERE=also") == b"it's sent\nalso\nnot a tty\n"
