"""One TCP connection to the box's far end: bulk down, bulk up, and the round trip of one byte."""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from collections.abc import Callable, Iterator

from benchmarks.far_end import PIECE, REQUEST
from benchmarks.lab_host import lab_host
from benchmarks.pairs import Comparison, compare
from benchmarks.ways import far_end, through_session, through_ssh
from tests.lab import Lab

WARM_UP = 16 * 1024 * 1024
BYTES = {0: 1 << 30, 50: 256 << 20}
AT_LEAST = {0: (1.0, 1.0), 50: (1.5, 2.0)}
SETTLING = 5.0  # seconds until a session has all the carriers that it makes in the background
ROUND_TRIPS = 2000


def down(port: int, size: int) -> float:
    """Let the far end give bytes, and say how many MB arrive in a second."""
    buffer = memoryview(bytearray(PIECE))
    with _dial(port) as connection:
        start = _ask(connection, b"g", size)
        left = size
        while left:
            left -= _some(connection.recv_into(buffer[: min(left, PIECE)]))
        return size / (time.perf_counter() - start) / 1e6


def up(port: int, size: int) -> float:
    """Let the far end take bytes, and say how many MB of them arrive in a second."""
    piece = memoryview(bytes(PIECE))
    with _dial(port) as connection:
        start = _ask(connection, b"t", size)
        left = size
        while left:
            left -= connection.send(piece[: min(left, PIECE)])
        _some(len(connection.recv(1)))
        return size / (time.perf_counter() - start) / 1e6


def round_trip(port: int, count: int) -> float:
    """Give the median time of one byte there and back, in ms."""
    with _dial(port) as connection:
        _ask(connection, b"e", count)
        times = []
        for _ in range(count):
            start = time.perf_counter()
            connection.sendall(b".")
            _some(len(connection.recv(1)))
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def measure_bulk(lab: Lab, runs: int, *, delay: int) -> list[Comparison]:
    """Compare bulk through a stream of a session with ``ssh -L``.

    Args:
        lab: Where.
        runs: Pairs of each.
        delay: Round-trip time of the network, in ms.
    """
    size, (least_down, least_up) = BYTES[delay], AT_LEAST[delay]
    with lab.network.delay(delay), _both(lab) as ports:
        return [
            _compare(f"{size >> 20} MiB down, {delay} ms", down, size, ports, runs, least_down),
            _compare(f"{size >> 20} MiB up, {delay} ms", up, size, ports, runs, least_up),
        ]


def measure_round_trip(lab: Lab, runs: int) -> list[Comparison]:
    """Compare the round trip of one byte through a stream of a session with ``ssh -L``."""
    with _both(lab) as (ours, theirs):
        return [
            compare(
                "round trip of one byte",
                lambda: round_trip(ours, ROUND_TRIPS),
                lambda: round_trip(theirs, ROUND_TRIPS),
                runs=runs,
                unit="ms",
                what="ssh -L",
                at_most=2.0,
            )
        ]


@contextlib.contextmanager
def _both(lab: Lab) -> Iterator[tuple[int, int]]:
    """Give a port of ours and one of theirs that lead to one far end."""
    with (
        far_end(lab) as port,
        through_session(lab, lab_host(lab), port) as ours,
        through_ssh(lab, port) as theirs,
    ):
        time.sleep(SETTLING)
        yield ours, theirs


def _compare(
    name: str, way: Callable[[int, int], float], size: int, ports: tuple[int, int], runs: int, wanted: float
) -> Comparison:
    ours, theirs = ports
    for port in ports:
        way(port, WARM_UP)
    return compare(
        name, lambda: way(ours, size), lambda: way(theirs, size), runs=runs, unit="MB/s", what="ssh -L", at_least=wanted
    )


def _dial(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _ask(connection: socket.socket, kind: bytes, number: int) -> float:
    start = time.perf_counter()
    connection.sendall(REQUEST.pack(kind, number))
    return start


def _some(size: int) -> int:
    if not size:
        raise EOFError("the connection ended in the middle of a measurement")
    return size
