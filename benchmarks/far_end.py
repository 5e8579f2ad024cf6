"""What a raw connection is measured against on the box: a server that gives, takes and echoes bytes.

It runs there as ``python -c``, since the box has no copy of this checkout; so it imports nothing of ours. A request is
a letter and a number of 8 bytes: ``g`` gives so many bytes, ``t`` takes so many and answers one byte, ``e`` sends back
so many, byte by byte.
"""

from __future__ import annotations

import socket
import struct
import threading

REQUEST = struct.Struct("!cQ")
PIECE = 1024 * 1024


def serve(connection: socket.socket) -> None:
    """Answer the requests of one connection."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = bytearray(PIECE)
    view = memoryview(buffer)
    with connection:
        while len(request := connection.recv(REQUEST.size, socket.MSG_WAITALL)) == REQUEST.size:
            kind, left = REQUEST.unpack(request)
            if kind == b"e":
                for _ in range(left):
                    connection.sendall(connection.recv(1))
                continue
            while left:
                piece = view[: min(left, PIECE)]
                left -= connection.send(piece) if kind == b"g" else connection.recv_into(piece)
            if kind == b"t":
                connection.sendall(b"!")


def main() -> None:
    """Serve on a free port of the loopback interface, and print it."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
