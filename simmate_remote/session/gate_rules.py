"""What the dashboard's gate lets through: pure functions of a request's head."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from urllib.parse import parse_qsl, quote, urlencode

from tornado.httputil import HTTPHeaders, parse_cookie

from simmate_remote.session.gate_pages import SECURITY_HEADERS, entry_page, forbidden_page, refused_page
from simmate_remote.session.http_heads import RequestHead, ResponseHead, format_head

# Nothing else is needed by the pages. Cookies above all stay here: on 127.0.0.1 they belong to programs at other ports.
_TO_UPSTREAM = frozenset(
    {
        "Host",
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "Cache-Control",
        "If-Modified-Since",
        "If-None-Match",
        "User-Agent",
    }
)
_WEBSOCKET_PREFIX = "Sec-Websocket-"
_NOT_TO_CLIENT = frozenset({"Connection", "Keep-Alive", "Upgrade", "Set-Cookie", *SECURITY_HEADERS})


class GateRules:
    """Decides about requests to one gate.

    Args:
        port: The port of the gate on 127.0.0.1.
        token: What a browser must know.
    """

    def __init__(self, port: int, token: str) -> None:
        self._token = token
        self._cookie = f"simmate-remote-{port}"
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    def answer(self, request: RequestHead) -> bytes | None:
        """Give the gate's own response to a request, or ``None`` if the request may go on."""
        if not self._comes_from_us(request):
            return forbidden_page()
        path, _, query = request.target.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        tokens = [value for name, value in pairs if name == "token"]
        if tokens:
            if not all(self._is_token(token) for token in tokens):
                return forbidden_page()
            rest = urlencode([pair for pair in pairs if pair[0] != "token"])
            onward = quote(path, safe="/%:@!$&()*+,;=~") + (f"?{rest}" if rest else "")
            return entry_page(onward, f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict")
        cookies = parse_cookie("; ".join(request.headers.get_list("Cookie")))
        if not self._is_token(cookies.get(self._cookie, "")):
            return forbidden_page()
        if request.method not in {"GET", "HEAD"}:
            return refused_page(HTTPStatus.METHOD_NOT_ALLOWED, "The pages are only to be looked at.")
        if "Transfer-Encoding" in request.headers or request.headers.get("Content-Length", "0") != "0":
            return refused_page(HTTPStatus.BAD_REQUEST, "A request for a page has no body.")
        return None

    def _is_token(self, candidate: str) -> bool:
        return hmac.compare_digest(candidate.encode(), self._token.encode())

    def _comes_from_us(self, request: RequestHead) -> bool:
        """Tell whether neither another site's page nor another name of this address stands behind the request."""
        headers = request.headers
        hosts = [host.lower() for host in headers.get_list("Host")]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return False  # another name that resolves to 127.0.0.1: DNS rebinding
        origins = headers.get_list("Origin")
        if wants_websocket(request) or origins:
            return bool(origins == [f"http://{hosts[0]}"])
        # A web server at another port of 127.0.0.1 is another origin, yet the same site, so cookies come along.
        if headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}:
            return True
        return (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")) == ("navigate", "document")


def wants_websocket(request: RequestHead) -> bool:
    """Tell whether a request asks to become a websocket."""
    options = {option.strip().lower() for option in request.headers.get("Connection", "").split(",")}
    return "upgrade" in options and request.headers.get("Upgrade", "").lower() == "websocket"


def upstream_request(request: RequestHead) -> bytes:
    """Write the head of the one request of an upstream connection.

    Without token, cookies and origin, all of which have been checked; with ``Connection: close``, so that no second
    request can follow.
    """
    headers = HTTPHeaders()
    websocket = wants_websocket(request)
    for name, value in request.headers.get_all():
        if name in _TO_UPSTREAM or (websocket and name.startswith(_WEBSOCKET_PREFIX)):
            headers.add(name, value)
    headers["Connection"] = "Upgrade" if websocket else "close"
    if websocket:
        headers["Upgrade"] = "websocket"
    return format_head(f"{request.method} {request.target} HTTP/1.1", headers)


def client_response(response: ResponseHead) -> bytes:
    """Write the head that a browser gets for a response of the scheduler."""
    headers = HTTPHeaders()
    for name, value in response.headers.get_all():
        if name not in _NOT_TO_CLIENT and not name.startswith("Access-Control-"):
            headers.add(name, value)
    headers["Connection"] = "close"
    if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
        headers["Connection"] = "Upgrade"
        headers["Upgrade"] = "websocket"
    headers.update(SECURITY_HEADERS)
    return format_head(f"HTTP/1.1 {response.status} {response.reason}", headers)
