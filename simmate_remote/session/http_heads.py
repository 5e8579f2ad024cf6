"""Read and write the heads of HTTP/1.1 messages, strictly.

A head that two programs could understand differently is how requests are smuggled past a gate. So what is not plain
HTTP/1.1 is refused here, and what goes on is written anew from the parsed parts, never copied.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tornado.httputil import HTTPHeaders, HTTPInputError, parse_request_start_line, parse_response_start_line

_HEADER_LINE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(r"/(?!/)[\x21\x22\x24-\x7e]*|/")


class RequestHead(NamedTuple):
    """The start line and the headers of a request.

    Args:
        method: Such as ``GET``.
        target: Path and query; begins with exactly one slash.
        headers: All headers, names in canonical case.
    """

    method: str
    target: str
    headers: HTTPHeaders


class ResponseHead(NamedTuple):
    """The start line and the headers of a response.

    Args:
        status: Such as 200.
        reason: The words behind the status; may be empty.
        headers: All headers, names in canonical case.
    """

    status: int
    reason: str
    headers: HTTPHeaders


def parse_request_head(head: bytes) -> RequestHead:
    r"""Parse a request's head.

    Args:
        head: All bytes up to and with the empty line, ``\r\n\r\n``.

    Raises:
        HTTPInputError: It is not plain HTTP/1.1, with the path of a page as its target.
    """
    start, headers = _split(head)
    line = parse_request_start_line(start)
    if line.version != "HTTP/1.1":
        raise HTTPInputError(f"HTTP/1.1 is spoken here, not {line.version}")
    if not _TARGET.fullmatch(line.path):
        raise HTTPInputError("the target is not the path of a page")
    return RequestHead(line.method, line.path, headers)


def parse_response_head(head: bytes) -> ResponseHead:
    r"""Parse a response's head.

    Args:
        head: All bytes up to and with the empty line, ``\r\n\r\n``.

    Raises:
        HTTPInputError: It is not plain HTTP/1.1.
    """
    start, headers = _split(head)
    line = parse_response_start_line(start)
    return ResponseHead(line.code, line.reason or "", headers)


def format_head(start: str, headers: HTTPHeaders) -> bytes:
    """Write a head from its start line and its headers."""
    lines = [start, *(f"{name}: {value}" for name, value in headers.get_all()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _split(head: bytes) -> tuple[str, HTTPHeaders]:
    start, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    headers = HTTPHeaders()
    for line in lines:
        # Stricter than tornado, older versions of which fold lines and take a bare line feed for an end.
        if not _HEADER_LINE.fullmatch(line):
            raise HTTPInputError("malformed header line")
        headers.parse_line(line)
    return start, headers
