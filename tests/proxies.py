"""A line to a box that breaks, and ssh_config files that lead over it."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.boxes import Box

PIECE = 2048


def config_before(box: Box, folder: Path, **options: object) -> Path:
    """Write an ssh_config whose options win over those of a box."""
    lines = "".join(f"  {name} {value}\n" for name, value in options.items())
    path = folder / "ssh_config"
    path.write_text(f"Host {box.alias}\n{lines}Match all\n  Include {box.ssh_config}\n")
    return path


def address_of(box: Box) -> tuple[str, int]:
    """Ask ssh where a box's server listens."""
    command = ["ssh", "-G", "-F", str(box.ssh_config), box.alias]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    options = dict(line.split(" ", 1) for line in output.splitlines() if " " in line)
    return options["hostname"], int(options["port"])


class BreakingProxy:
    """Forwards one TCP connection, until so many bytes have gone up or come down.

    Args:
        target: Where it leads.
        limit: Bytes of both directions together after which it breaks.
        silent: Whether nobody is told; otherwise both connections are reset.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        broke: Set when it has broken.
    """

    def __init__(self, target: tuple[str, int], limit: int, *, silent: bool) -> None:
        self.passed = 0
        self.broke = threading.Event()
        self._target = target
        self._limit = limit
        self._silent = silent
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port = int(self._listening.getsockname()[1])
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def close(self) -> None:
        """Close everything, and wait for the threads."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._reset()
        for thread in self._threads:
            thread.join(10)
        for each in self._sockets:
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            self._sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                thread = threading.Thread(target=self._pump, args=(source, sink))
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(PIECE):
                with self._lock:
                    data = data[: max(0, self._limit - self.passed)]
                    self.passed += len(data)
                    broken = self.passed >= self._limit
                sink.sendall(data)
                if broken:
                    self.broke.set()
                    if not self._silent:
                        self._reset()
                        return
        # One end has left: so does the other, however silent the line is.
        self._reset()

    def _reset(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def breaking_proxy(target: tuple[str, int], limit: int, *, silent: bool = False) -> Iterator[BreakingProxy]:
    """Open a line that breaks, and close it."""
    proxy = BreakingProxy(target, limit, silent=silent)
    try:
        yield proxy
    finally:
        proxy.close()
