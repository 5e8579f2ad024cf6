"""The few pages that the dashboard's gate writes itself."""

from __future__ import annotations

import html
from http import HTTPStatus

from tornado.httputil import HTTPHeaders

from simmate_remote.session.http_heads import format_head

SECURITY_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Sent with every response: no address leaves for another site, and no other site embeds our pages."""


def entry_page(path: str, cookie: str) -> bytes:
    """Write the response to the right token: a cookie, and a page that goes on to the address without the token.

    A page and not a redirect: to a redirect that began at a link of another site, such as a notebook, browsers do
    not add a ``SameSite=Strict`` cookie.

    Args:
        path: Where to go on, quoted for a URL.
        cookie: The value of ``Set-Cookie``.
    """
    return _page(HTTPStatus.OK, "Opening the dashboard …", then=(0, path), headers={"Set-Cookie": cookie})


def forbidden_page() -> bytes:
    """Write the response to somebody without a valid token; it tells nothing about the session."""
    return _page(
        HTTPStatus.FORBIDDEN,
        "This page needs its token.",
        "Type <code>simmate-remote dashboard HOST</code>, with the name of the host, and it opens.",
        'If a link of another page led you here, <a href="">try once more</a>.',
    )


def refused_page(status: HTTPStatus, why: str) -> bytes:
    """Write the response to a request that the gate does not let through, whoever sent it."""
    headers = {"Allow": "GET, HEAD"} if status is HTTPStatus.METHOD_NOT_ALLOWED else {}
    return _page(status, "The dashboard's gate refused this request.", html.escape(why), headers=headers)


def unavailable_page(host: str, why: str, retry_seconds: int) -> bytes:
    """Write the response while the host's scheduler cannot be reached; the page asks again by itself.

    Args:
        host: The host, as the user calls it.
        why: What happened; may have several lines.
        retry_seconds: After how long the browser asks again.
    """
    return _page(
        HTTPStatus.BAD_GATEWAY,
        f"The dashboard of {html.escape(host)} is not there yet.",
        f"<pre>{html.escape(why)}</pre>",
        f"This page asks again every {retry_seconds} s. "
        f"<code>simmate-remote status {html.escape(host)}</code> says how the session is.",
        then=(retry_seconds, ""),
    )


def _page(
    status: HTTPStatus,
    title: str,
    *paragraphs: str,
    then: tuple[int, str] | None = None,
    headers: dict[str, str] | None = None,
) -> bytes:
    refresh = ""
    if then is not None:
        seconds, path = then
        content = f"{seconds};url={path}" if path else str(seconds)
        refresh = f'<meta http-equiv="refresh" content="{html.escape(content)}">'
    text = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    body = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">{refresh}<title>simmate-remote</title></head>'
        f"<body><h1>{title}</h1>{text}</body></html>"
    ).encode()
    head = HTTPHeaders(
        {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Connection": "close",
            "X-Content-Type-Options": "nosniff",
            **SECURITY_HEADERS,
            **(headers or {}),
        }
    )
    return format_head(f"HTTP/1.1 {status.value} {status.phrase}", head) + body
