"""What a Dask client waits for: one task and its result, and a gather of 500 MB; against ``ssh -L`` to the same TLS."""

from __future__ import annotations

from benchmarks.clients import living_cluster, run_client
from benchmarks.lab_host import lab_host
from benchmarks.pairs import Comparison, compare
from benchmarks.ways import through_ssh
from tests.lab import Lab

ROUNDS = 200
SUBMIT = [
    "times = []",
    f"for number in range({ROUNDS} + 20):",
    "    start = time.perf_counter()",
    "    assert client.submit(abs, -number, pure=False).result() == number",
    "    times.append(time.perf_counter() - start)",
    "measured = statistics.median(times[20:]) * 1e3",
]
PIECES, PIECE = 50, 10_000_000
GATHER = [
    f"futures = client.map(lambda _: os.urandom({PIECE}), range({PIECES}), pure=False)",
    "wait(futures)",
    "start = time.perf_counter()",
    "pieces = client.gather(futures)",
    "seconds = time.perf_counter() - start",
    f"assert [len(piece) for piece in pieces] == [{PIECE}] * {PIECES}",
    f"measured = {PIECES * PIECE / 1e6} / seconds",
]


def measure_submit(lab: Lab, runs: int) -> list[Comparison]:
    """Compare how long one task and its result take."""
    with living_cluster(lab_host(lab)) as (ours, there), through_ssh(lab, there.port) as port:
        return [
            compare(
                "submit(...).result()",
                lambda: run_client(SUBMIT, ours),
                lambda: run_client(SUBMIT, there.by_port(port)),
                runs=runs,
                unit="ms",
                what="ssh -L",
                at_most=1.2,
            )
        ]


def measure_gather(lab: Lab, runs: int, *, delay: int) -> list[Comparison]:
    """Compare how quickly results come.

    Args:
        lab: Where.
        runs: Pairs.
        delay: Round-trip time of the network, in ms; from before the login, as a session measures it then.
    """
    with (
        lab.network.delay(delay),
        living_cluster(lab_host(lab)) as (ours, there),
        through_ssh(lab, there.port) as port,
    ):
        return [
            compare(
                f"gather of 500 MB, {delay} ms",
                lambda: run_client(GATHER, ours),
                lambda: run_client(GATHER, there.by_port(port)),
                runs=runs,
                unit="MB/s",
                what="ssh -L",
                at_least=1.0,
            )
        ]
