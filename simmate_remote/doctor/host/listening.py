"""Sockets to which the near side tries to open channels."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

from simmate_remote.keeper.host.runtime_folder import make_runtime_folder

GREETING = b"doctor"

_open: dict[str, socket.socket] = {}


def listen() -> dict[str, str]:
    """Listen on a Unix socket that greets whoever connects, and give its path."""
    folder = make_runtime_folder()
    path = str(folder / "s")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(2)
    _open[path] = listening
    threading.Thread(target=_greet, args=(listening,), daemon=True).start()
    return {"path": path}


def stop(path: str) -> None:
    """Stop listening, and remove the socket."""
    listening = _open.pop(path)
    with contextlib.suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    os.unlink(path)
    os.rmdir(os.path.dirname(path))


def _greet(listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(GREETING)
