"""The far end of a stream whose speed is measured: takes bytes and answers with one, or gives bytes."""

from __future__ import annotations

import sys

PIECE = 256 * 1024


def main() -> None:
    """Serve lines ``up SIZE`` (that many bytes follow, one is the answer) and ``down SIZE`` until stdin ends."""
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    zeros = bytes(PIECE)
    for line in incoming:
        direction, _, size = line.decode().strip().partition(" ")
        left = int(size)
        if direction == "up":
            while left and (data := incoming.read(min(left, PIECE))):
                left -= len(data)
            outgoing.write(b"!")
        else:
            for start in range(0, left, PIECE):
                outgoing.write(zeros[: min(PIECE, left - start)])
        outgoing.flush()


if __name__ == "__main__":
    main()
