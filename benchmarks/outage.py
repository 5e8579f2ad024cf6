"""The first byte after an outage: from the moment when the network is back until a byte that waited has come."""

from __future__ import annotations

import random
import socket
import statistics
import time

from benchmarks.adopt import login_seconds
from benchmarks.far_end import REQUEST
from benchmarks.lab_host import lab_host
from benchmarks.pairs import Figure
from benchmarks.ways import far_end, through_session
from tests.lab import Lab

SHORTEST, LONGEST = 2.0, 30.0
LIMIT = 120.0


def measure(lab: Lab, runs: int) -> list[Figure]:
    """Let the network go down and come back, for 2 to 30 s in turn, while a byte is on its way."""
    host = lab_host(lab)
    chance = random.Random(1)
    waits = []
    login = statistics.median(login_seconds(lab) for _ in range(5))
    with (
        far_end(lab) as port,
        through_session(lab, host, port) as ours,
        socket.create_connection(("127.0.0.1", ours), LIMIT) as connection,
    ):
        connection.sendall(REQUEST.pack(b"e", 2**32))
        _echo(connection)
        for _ in range(runs):
            with lab.network.down():
                connection.sendall(b".")
                time.sleep(chance.uniform(SHORTEST, LONGEST))
            start = time.perf_counter()
            if connection.recv(1) != b".":
                raise EOFError("the connection ended in an outage")
            waits.append(time.perf_counter() - start)
            _echo(connection)
    worst = statistics.quantiles(waits, n=20, method="inclusive")[-1] if len(waits) > 1 else waits[0]
    return [
        Figure("first byte after an outage of 2 to 30 s, 95th percentile", worst, "s", at_most=1.5 + login),
        Figure("the same, median", statistics.median(waits), "s"),
    ]


def _echo(connection: socket.socket) -> None:
    connection.sendall(b".")
    if connection.recv(1) != b".":
        raise EOFError("the connection ended")
