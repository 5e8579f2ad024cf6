"""SSH logins of one session, counted in the server's log."""

from __future__ import annotations

from distributed import Client

from benchmarks.lab_host import lab_host
from benchmarks.pairs import Figure
from simmate_remote import RemoteCluster
from tests.lab import Lab


def measure(lab: Lab, runs: int) -> list[Figure]:
    """Count the logins of a session that computes something, however many runs are wanted."""
    del runs
    mark = lab.mark()
    with RemoteCluster(lab_host(lab)) as cluster, Client(cluster) as client:
        client.gather(client.map(abs, range(100)))
    return [Figure("SSH logins per session", lab.logins(mark), "", at_most=1)]
