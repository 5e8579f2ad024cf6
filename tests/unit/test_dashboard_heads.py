"""Heads of HTTP messages: plain ones pass unchanged, anything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPInputError

from simmate_remote.session.gate_rules import client_response, upstream_request
from simmate_remote.session.http_heads import format_head, parse_request_head, parse_response_head

TOKEN = st.text("!#$%&'*+-.^_`|~0123456789abcxyzABCXYZ", min_size=1, max_size=12)
VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20).filter(
    lambda value: not any(0x7F <= ord(character) < 0xA1 for character in value)
)
TARGET = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=20).map(
    lambda rest: "/" + rest.lstrip("/")
)
NAMES = st.sampled_from(["Host", "Upgrade", "Connection", "Content-Length", "Sec-WebSocket-Key", "Accept", "Cookie"])
HEADERS = st.lists(st.tuples(TOKEN | NAMES, VALUE), max_size=6)
BYTES = st.binary(max_size=200) | st.lists(
    st.sampled_from([b"GET ", b"/", b" HTTP/1.1", b"\r\n", b"\n", b"\r", b":", b" ", b"\0", b"Host: x", b"a", b"\xff"]),
    max_size=30,
).map(b"".join)


@given(BYTES)
@example(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nA: b\nContent-Length: 9\r\n\r\n")
@example(b"GET /?\x85 HTTP/1.1\r\n\r\n")
def test_any_bytes_are_one_request_or_refused(head: bytes) -> None:
    try:
        request = parse_request_head(head)
    except HTTPInputError:
        return
    onward = upstream_request(request)
    assert onward.find(b"\r\n\r\n") == len(onward) - 4
    assert onward.count(b"\n") == onward.count(b"\r") == onward.count(b"\r\n")
    assert parse_request_head(onward).target == request.target


@given(BYTES)
def test_any_bytes_are_one_response_or_refused(head: bytes) -> None:
    try:
        response = parse_response_head(head)
    except HTTPInputError:
        return
    onward = client_response(response)
    assert onward.find(b"\r\n\r\n") == len(onward) - 4


@given(TOKEN, TARGET, HEADERS)
def test_what_is_written_is_read_again(method: str, target: str, pairs: list[tuple[str, str]]) -> None:
    headers = HTTPHeaders()
    for name, value in pairs:
        headers.add(name, value)
    request = parse_request_head(format_head(f"{method} {target} HTTP/1.1", headers))
    assert (request.method, request.target) == (method, target)
    assert list(request.headers.get_all()) == list(headers.get_all())


@given(TARGET, HEADERS)
def test_only_what_pages_need_goes_on(target: str, pairs: list[tuple[str, str]]) -> None:
    headers = HTTPHeaders()
    for name, value in pairs:
        headers.add(name, value)
    onward = parse_request_head(upstream_request(parse_request_head(format_head(f"GET {target} HTTP/1.1", headers))))
    assert not {"Cookie", "Content-Length", "Transfer-Encoding", "Origin"} & set(onward.headers)
    assert onward.headers["Connection"] in {"close", "Upgrade"}


@pytest.mark.parametrize(
    "head",
    [
        b"GET http://127.0.0.1/ HTTP/1.1\r\n\r\n",
        b"GET //evil.example/ HTTP/1.1\r\n\r\n",
        b"GET /a#b HTTP/1.1\r\n\r\n",
        b"GET * HTTP/1.1\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\0\r\n\r\n",
        b"GET / HTTP/1.1\r\n: b\r\n\r\n",
        b"\r\n\r\n",
        b"",
    ],
)
def test_what_is_ambiguous_is_refused(head: bytes) -> None:
    with pytest.raises(HTTPInputError):
        parse_request_head(head)
