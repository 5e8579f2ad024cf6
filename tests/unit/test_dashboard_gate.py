"""The dashboard's gate: open to the token, shut to everything else, and no byte astray."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from distributed import Client
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from simmate_remote.cluster.host.dashboard import OwnerOnlyScheduler, QuietWorker, attach_dashboard, serve_pages
from simmate_remote.errors import LinkLostError, SessionError
from simmate_remote.session import dashboard_gate, gate_relay
from simmate_remote.session.dashboard_gate import DashboardGate

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nAccess-Control-Allow-Origin: *\r\n\r\nhi"
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"


class Answer(NamedTuple):
    """What a client got until the connection ended."""

    status: int
    head: str
    body: bytes


@dataclass
class Upstream:
    """The host's side of a gate: notes what arrives, answers as it is told."""

    answer: bytes = OK
    then: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None
    heads: list[str] = field(default_factory=list)
    rest: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
        writer.write(self.answer)
        if self.then is not None:
            await self.then(reader, writer)
        elif self.answer == OK:
            writer.write_eof()
            self.rest.append(await reader.read())
        writer.close()


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def gate(upstream: Upstream, user_folders: Path) -> AsyncIterator[DashboardGate]:
    path = user_folders / "run" / "pages.sock"
    async with (
        await asyncio.start_unix_server(upstream.serve, path),
        DashboardGate("lab-box", functools.partial(asyncio.open_unix_connection, path)) as gate,
    ):
        yield gate


def token_of(gate: DashboardGate) -> str:
    return gate.link.partition("token=")[2]


def cookie_of(gate: DashboardGate) -> str:
    return f"Cookie: simmate-remote-{gate.port}={token_of(gate)}\r\n"


def request(
    gate: DashboardGate, path: str = "/status", headers: str = "", *, start: str = "GET", host: str = ""
) -> bytes:
    return f"{start} {path} HTTP/1.1\r\nHost: {host or f'127.0.0.1:{gate.port}'}\r\n{headers}\r\n".encode("latin-1")


async def send(gate: DashboardGate, data: bytes) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(data)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    body = await reader.read()
    writer.close()
    await writer.wait_closed()
    return Answer(int(head.split()[1]), head, body)


async def test_token_becomes_a_cookie_and_leaves_the_address(gate: DashboardGate, upstream: Upstream) -> None:
    entry = await send(gate, request(gate, f"/workers?x=1%26y&token={token_of(gate)}&z=%22"))
    assert entry.status == 200
    assert re.search(r'content="0;url=/workers\?x=1%26y&amp;z=%22"', entry.body.decode())
    assert token_of(gate).encode() not in entry.body
    assert "Referrer-Policy: no-referrer" in entry.head
    cookie = re.search(r"Set-Cookie: (\S+); Path=/; HttpOnly; SameSite=Strict\r\n", entry.head)
    assert cookie is not None
    assert upstream.heads == []

    page = await send(gate, request(gate, headers=f"Cookie: other=1; {cookie[1]}\r\n"))
    assert (page.status, page.body) == (200, b"hi")
    assert "Referrer-Policy: no-referrer" in page.head
    assert "Set-Cookie" not in page.head
    assert "Access-Control" not in page.head


async def test_secrets_stay_here(gate: DashboardGate, upstream: Upstream) -> None:
    headers = cookie_of(gate) + "Cookie: jupyter=secret\r\nAuthorization: secret\r\nReferer: secret\r\nAccept: */*\r\n"
    origin = f"Origin: http://127.0.0.1:{gate.port}\r\n"
    assert (await send(gate, request(gate, "/a?b=c", headers + origin))).status == 200
    assert upstream.heads == [
        f"GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:{gate.port}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    ]


@pytest.mark.parametrize("path", ["/", "/status", "/json/counts.json", "/status/ws", "/?token=", "/?token=wrong"])
@pytest.mark.parametrize("headers", ["", "Cookie: simmate-remote-{port}=wrong\r\n", UPGRADE, 'Cookie: \xff"=;;\r\n'])
async def test_stranger_gets_nothing(gate: DashboardGate, upstream: Upstream, path: str, headers: str) -> None:
    answer = await send(gate, request(gate, path, headers.replace("{port}", str(gate.port))))
    assert answer.status == 403
    assert b"simmate-remote dashboard HOST" in answer.body
    assert b"lab-box" not in answer.body
    assert upstream.heads == []


async def test_wrong_token_counts_even_with_the_right_cookie(gate: DashboardGate, upstream: Upstream) -> None:
    for query in ("token=x", f"token={token_of(gate)}&token=x"):
        assert (await send(gate, request(gate, f"/?{query}", cookie_of(gate)))).status == 403
    assert upstream.heads == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}"])
async def test_other_names_of_this_machine_are_refused(gate: DashboardGate, upstream: Upstream, host: str) -> None:
    host = host.replace("{port}", str(gate.port))
    assert (await send(gate, request(gate, headers=cookie_of(gate), host=host))).status == 403
    assert (await send(gate, request(gate, f"/?token={token_of(gate)}", host=host))).status == 403
    assert upstream.heads == []


async def test_two_names_at_once_are_refused_and_localhost_serves(gate: DashboardGate, upstream: Upstream) -> None:
    second = f"Host: 127.0.0.1:{gate.port}\r\n"
    assert (await send(gate, request(gate, headers=cookie_of(gate) + second))).status == 403
    assert upstream.heads == []
    assert (await send(gate, request(gate, headers=cookie_of(gate), host=f"LocalHost:{gate.port}"))).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        UPGRADE,
        UPGRADE + "Origin: null\r\n",
        UPGRADE + "Origin: http://127.0.0.1:1\r\n",
        UPGRADE + "Origin: https://127.0.0.1:{port}\r\n",
        UPGRADE + "Origin: http://localhost:{port}\r\n",
        UPGRADE + "Origin: http://127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n",
        "Origin: http://127.0.0.1:1\r\n",
        "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n",
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n",
    ],
)
async def test_pages_of_other_sites_are_refused(gate: DashboardGate, upstream: Upstream, headers: str) -> None:
    headers = headers.replace("{port}", str(gate.port))
    assert (await send(gate, request(gate, headers=cookie_of(gate) + headers))).status == 403
    assert upstream.heads == []


async def test_link_on_another_site_serves(gate: DashboardGate) -> None:
    fetch = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
    assert "Set-Cookie" in (await send(gate, request(gate, f"/?token={token_of(gate)}", fetch))).head


@pytest.mark.parametrize(
    ("start", "headers", "status"),
    [
        ("POST", "", 405),
        ("DELETE", "Content-Length: 5\r\n", 405),
        ("GET", "Content-Length: 5\r\n", 400),
        ("GET", "Content-Length: +0\r\n", 400),
        ("GET", "Content-Length: 0\r\nContent-Length: 44\r\n", 400),
        ("GET", "Transfer-Encoding: chunked\r\n", 400),
        ("GET", "Transfer-Encoding: \x0bchunked\r\n", 400),
        ("GET", "Content-Length : 5\r\n", 400),
    ],
)
async def test_bodies_are_refused(
    gate: DashboardGate, upstream: Upstream, start: str, headers: str, status: int
) -> None:
    smuggled = request(gate, "/smuggled", cookie_of(gate))
    answer = await send(gate, request(gate, headers=cookie_of(gate) + headers, start=start) + smuggled)
    assert answer.status == status
    assert upstream.heads == []


@pytest.mark.parametrize("kind", ["", UPGRADE, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"])
async def test_second_request_is_never_read(gate: DashboardGate, upstream: Upstream, kind: str) -> None:
    headers = f"{cookie_of(gate)}Origin: http://127.0.0.1:{gate.port}\r\n{kind}"
    answer = await send(gate, request(gate, headers=headers) + request(gate, "/second") * 2)
    assert (answer.status, answer.body) == (200, b"hi")
    assert [head.split()[1] for head in upstream.heads] == ["/status"]
    assert upstream.rest == [b""]


async def test_websocket_passes_bytes_and_ends_both_ways(gate: DashboardGate, upstream: Upstream) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()

    upstream.answer, upstream.then = UPGRADED, echo
    data = bytes(range(256)) * 20_000
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(request(gate, "/ws", f"{cookie_of(gate)}Origin: http://127.0.0.1:{gate.port}\r\n{UPGRADE}"))
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(gate_relay.LINGER_SECONDS / 2):
        assert await reader.read() == data
    writer.close()
    await writer.wait_closed()
    assert "Sec-Websocket-Key: x" in upstream.heads[0]
    assert "Origin" not in upstream.heads[0]


async def test_page_that_stops_midway_is_not_waited_for(
    gate: DashboardGate, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    monkeypatch.setattr(dashboard_gate, "UPSTREAM_SECONDS", 0.05)
    upstream.answer, upstream.then = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", hold
    page = await send(gate, request(gate, headers=cookie_of(gate)))
    assert "Content-Length: 100" in page.head
    assert page.body == b"half"


async def test_large_page_arrives_whole(gate: DashboardGate, upstream: Upstream) -> None:
    body = bytes(range(251)) * 40_000
    upstream.answer = b"HTTP/1.1 200 OK\r\n\r\n" + body
    assert (await send(gate, request(gate, headers=cookie_of(gate)))).body == body


async def test_many_at_once(gate: DashboardGate, upstream: Upstream) -> None:
    answers = await asyncio.gather(*(send(gate, request(gate, f"/{n}", cookie_of(gate))) for n in range(100)))
    assert {answer.status for answer in answers} == {200}
    assert len(upstream.heads) == 100


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "closed the connection before it answered"),
        (b"HTTP/1.1 200", "closed the connection before it answered"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "response start line"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", "too long"),
        (UPGRADED, "was not asked"),
    ],
)
async def test_host_that_fails_is_explained(gate: DashboardGate, upstream: Upstream, answer: bytes, why: str) -> None:
    upstream.answer = answer
    page = await send(gate, request(gate, headers=cookie_of(gate)))
    assert page.status == 502
    assert why in page.body.decode()
    assert 'http-equiv="refresh" content="3"' in page.body.decode()


async def test_lost_link_is_explained() -> None:
    async def lost() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raise LinkLostError("the <network> is gone", host="lab-box")

    async with DashboardGate("lab-box", lost) as gate:
        page = await send(gate, request(gate, headers=cookie_of(gate)))
    assert page.status == 502
    assert "lab-box: the &lt;network&gt; is gone" in page.body.decode()
    assert "simmate-remote status lab-box" in page.body.decode()


async def test_silent_host_is_not_waited_for(
    gate: DashboardGate, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    monkeypatch.setattr(dashboard_gate, "UPSTREAM_SECONDS", 0.05)
    upstream.answer, upstream.then = b"", hold
    page = await send(gate, request(gate, headers=cookie_of(gate)))
    assert page.status == 502
    assert b"has not answered" in page.body


async def test_client_without_head_is_not_waited_for(gate: DashboardGate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard_gate, "HEAD_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(b"GET /status HTTP/1.1\r\nHost:")
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()


async def test_slow_clients_do_not_keep_others_out(gate: DashboardGate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard_gate, "WAITING_CLIENTS", 3)
    slow = [await asyncio.open_connection("127.0.0.1", gate.port) for _ in range(3)]
    for _, writer in slow:
        writer.write(b"GET")
    assert (await send(gate, request(gate, headers=cookie_of(gate)))).status == 200
    async with asyncio.timeout(dashboard_gate.HEAD_SECONDS / 2):
        with contextlib.suppress(ConnectionResetError):
            assert await slow[0][0].read() == b""
    for _, writer in slow:
        writer.close()


async def test_endless_head_is_refused(gate: DashboardGate) -> None:
    head = b"GET / HTTP/1.1\r\nX: " + b"y" * dashboard_gate.HEAD_BYTES * 4
    with contextlib.suppress(ConnectionResetError):
        assert (await send(gate, head)).status == 400


async def test_close_ends_everything(gate: DashboardGate, upstream: Upstream) -> None:
    ended = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        ended.set()

    upstream.answer, upstream.then = UPGRADED, hold
    idle, idle_writer = await asyncio.open_connection("127.0.0.1", gate.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(request(gate, "/ws", f"{cookie_of(gate)}Origin: http://127.0.0.1:{gate.port}\r\n{UPGRADE}"))
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    await gate.close()
    async with asyncio.timeout(20):
        await ended.wait()
        for each in (idle, reader):
            with contextlib.suppress(ConnectionResetError):
                assert await each.read() == b""
    for each_writer in (idle_writer, writer):
        each_writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", gate.port)


async def test_port_in_use_is_explained(gate: DashboardGate) -> None:
    with pytest.raises(SessionError, match=f"port {gate.port} of this machine"):
        await DashboardGate("other-box", asyncio.open_connection).start(gate.port)


async def test_two_gates_share_no_token(gate: DashboardGate, upstream: Upstream) -> None:
    async with DashboardGate("other-box", asyncio.open_connection) as other:
        assert (await send(other, request(other, f"/?token={token_of(gate)}"))).status == 403
        assert (await send(other, request(other, headers=cookie_of(gate)))).status == 403


async def test_token_is_never_logged(gate: DashboardGate, upstream: Upstream, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    upstream.answer = b"nonsense\r\n\r\n"
    await send(gate, request(gate, f"/?token={token_of(gate)}"))
    await send(gate, request(gate, headers=cookie_of(gate)))
    assert token_of(gate) not in caplog.text


async def test_plots_of_a_real_scheduler_are_live(user_folders: Path) -> None:
    path = user_folders / "run" / "pages.sock"
    async with (
        OwnerOnlyScheduler(host="127.0.0.1", port=0) as scheduler,
        QuietWorker(scheduler.address, host="127.0.0.1"),
        Client(scheduler.address, asynchronous=True) as client,
        DashboardGate("lab-box", functools.partial(asyncio.open_unix_connection, path)) as gate,
    ):
        assert (await send(gate, request(gate, headers=cookie_of(gate)))).status == 502
        await serve_pages(scheduler, path)
        assert (await send(gate, request(gate, headers=cookie_of(gate)))).status == 503
        await attach_dashboard(scheduler)
        page = await send(gate, request(gate, headers=cookie_of(gate)))
        assert page.status == 200
        session = re.search(r'"token":"([^"]+)"', page.body.decode())
        assert session is not None

        def websocket(origin: str) -> HTTPRequest:
            headers = {"Origin": origin, "Cookie": cookie_of(gate).removeprefix("Cookie: ").strip()}
            return HTTPRequest(f"ws://127.0.0.1:{gate.port}/status/ws", headers=headers)

        protocols = ["bokeh", session[1]]
        with pytest.raises(HTTPClientError, match="403"):
            await websocket_connect(websocket("http://127.0.0.1:1"), subprotocols=protocols)
        connection = await websocket_connect(websocket(f"http://127.0.0.1:{gate.port}"), subprotocols=protocols)
        await client.gather(client.map(float, range(5)))
        async with asyncio.timeout(10):
            while "float" not in str(await connection.read_message()):
                pass
        connection.close()
