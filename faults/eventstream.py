"""An open dashboard: a websocket through the gate, on which the scheduler tells of every task."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tornado.httpclient import HTTPRequest
from tornado.ioloop import IOLoop
from tornado.websocket import WebSocketClientConnection, websocket_connect


class Eventstream:
    """Listens to the scheduler's websocket ``/eventstream``, as a browser with the token would.

    Args:
        link: The dashboard's link, with its token.
        loop: A loop that runs in another thread.

    Attributes:
        finished: How often each task was told to have finished.
        failure: Why it ended, if it did.
    """

    def __init__(self, link: str, loop: IOLoop) -> None:
        parts = urlsplit(link)
        (token,) = parse_qs(parts.query)["token"]
        self._request = HTTPRequest(
            f"ws://{parts.netloc}/eventstream",
            headers={"Cookie": f"simmate-remote-{parts.port}={token}", "Origin": f"http://{parts.netloc}"},
        )
        self.finished: Counter[str] = Counter()
        self.failure: str | None = None
        self.failed_at: float | None = None
        self._opened = threading.Event()
        self._loop = loop
        self._connection: WebSocketClientConnection | None = None
        loop.add_callback(self._listen)

    def wait_open(self, seconds: float) -> None:
        """Wait until it is open.

        Raises:
            RuntimeError: It could not be opened.
        """
        if not self._opened.wait(seconds) or self.failure is not None:
            raise RuntimeError(f"the dashboard could not be opened: {self.failure or 'no answer'}")

    def close(self) -> None:
        """Close it."""
        self._loop.add_callback(self._close)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def _listen(self) -> None:
        try:
            self._connection = await websocket_connect(self._request)
            self._opened.set()
            while (message := await self._connection.read_message()) is not None:
                self._take(json.loads(message))
            self._end("it was closed")
        except (OSError, ValueError) as error:
            self._end(f"{type(error).__name__}: {error}")

    def _take(self, message: dict[str, Any]) -> None:
        if message["name"] == "transition" and message.get("action") == "compute":
            self.finished[str(message["key"])] += 1

    def _end(self, why: str) -> None:
        self.failure, self.failed_at = why, time.monotonic()
        self._opened.set()
