"""An echo in the reverse direction: the host sends, this machine sends back, and the host compares every byte."""

from __future__ import annotations

import socketserver
import tempfile
import threading
from pathlib import Path

TARGET = "echo"
PIECE = 65536


class EchoServer:
    """Sends back what comes, on a Unix socket that is lent to the host.

    Attributes:
        path: The socket.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="echo-", dir="/tmp")
        self.path = str(Path(self._folder.name) / TARGET)
        self._server = socketserver.ThreadingUnixStreamServer(self.path, _Echo)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(PIECE):
            self.request.sendall(data)
