"""The heads of HTTP messages at the dashboard's gate: what goes on must mean one thing only."""

from __future__ import annotations

import re

from tornado.httputil import HTTPInputError

from fuzz.bounds import Budget, Finding
from fuzz.script import Script
from simmate_remote.session.http_heads import format_head, parse_request_head, parse_response_head

_STARTS = (b"GET / HTTP/1.1", b"GET /status?a=b HTTP/1.1", b"HTTP/1.1 200 OK", b"HTTP/1.1 101 ", b"GET //x HTTP/1.1")
_LINES = (
    b"Host: a",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b" folded",
    b"A:\x0bb",
    b"X: \xff",
    b"a\x00: b",
)
_PLAIN_LINE = re.compile(rb"[^\r\n\x00]*")


def head(script: Script) -> bytes:
    """Give a head, or bytes that are none."""
    if script.number() >= 128:
        return script.rest()
    lines = [script.choice(_STARTS) if script.number() < 128 else script.take(script.number() % 64)]
    while not script.over and len(lines) < 2000:
        line = script.choice(_LINES) if script.number() < 128 else script.take(script.number() % 64)
        lines += [line] * script.choice((1, 1, 1, 500))
    return b"\r\n".join([*lines, b"", b""])


def check(data: bytes) -> None:
    """Parse a head as a request's and as a response's; whatever is taken reads the same again."""
    text, budget = head(Script(data)), Budget()
    budget.fed = len(text)
    for parse in (parse_request_head, parse_response_head):
        try:
            found = parse(text)
        except HTTPInputError:
            continue
        first, second, headers = found
        start = f"{first} {second} HTTP/1.1" if parse is parse_request_head else f"HTTP/1.1 {first} {second}"
        written = format_head(start, headers)
        if any(not _PLAIN_LINE.fullmatch(line) for line in written.split(b"\r\n")):
            raise Finding(f"what goes on has an end of line within a line: {written!r}")
        if parse(written) != found:
            raise Finding(f"what goes on means something else: {written!r}")
    budget.check()


def seeds() -> list[bytes]:
    """Give inputs to begin with."""
    return [
        bytes([0, 0, 0, 0, 0, 0]),
        bytes([0, 0, 2, 0, 1, 0]),
        bytes([128]) + b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n",
        bytes([128]) + b"HTTP/1.1 200 OK\r\nDate: now\r\n\r\n",
        bytes([128]) + b"HTTP/1.1 " + b"9" * 5000 + b" OK\r\n\r\n",
    ]
