"""From nothing to the first result: libraries imported, nothing running anywhere, 2 nanny workers.

Each run is a process of its own. Ours goes through the firewall with mutual TLS and a dashboard; stock ``SSHCluster``
has neither TLS nor a firewall in its way.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.lab_host import lab_host
from benchmarks.pairs import Comparison, compare
from tests.lab import Lab

OURS = """
import sys, time
from distributed import Client
from simmate_remote.inventory import Host
from simmate_remote.session.connection import Connection
from simmate_remote.session.remote_cluster import RemoteCluster

def main():
    host = Host.model_validate_json(sys.argv[1])
    start = time.perf_counter()
    with RemoteCluster(host) as cluster, Client(cluster) as client:
        assert client.submit(sum, [1, 2, 3]).result() == 6
        print(time.perf_counter() - start)

if __name__ == "__main__":
    main()
"""
STOCK = """
import logging, sys, time
import asyncssh
from distributed import Client, SSHCluster

logging.disable()

def main():
    address, user, key, known_hosts, python = sys.argv[1:]
    options = {"known_hosts": known_hosts, "username": user, "client_keys": [key], "config": None}
    start = time.perf_counter()
    with SSHCluster([address] * 3, connect_options=options, remote_python=python,
                    scheduler_options={"host": address},
                    worker_options={"host": address, "nthreads": 1}) as cluster, Client(cluster) as client:
        assert client.submit(sum, [1, 2, 3]).result() == 6
        print(time.perf_counter() - start)

if __name__ == "__main__":
    main()
"""


def measure(lab: Lab, runs: int) -> list[Comparison]:
    """Compare the two."""
    host = lab_host(lab).model_dump_json()
    user, key = _login(lab)

    def ours() -> float:
        return _seconds([sys.executable, "-c", OURS, host])

    def stock() -> float:
        with lab.network.open_firewall():
            return _seconds(
                [sys.executable, "-c", STOCK, lab.address, user, key, str(lab.known_hosts), str(lab.python)]
            )

    what = "SSHCluster, no TLS, no firewall"
    return [compare("cold connect to first result", ours, stock, runs=runs, unit="s", what=what, at_most=0.6)]


def _login(lab: Lab) -> tuple[str, str]:
    """Read the name and the key from the lab's ssh_config, which knows them for its alias only."""
    command = ["ssh", "-F", str(lab.ssh_config), "-G", "lab-box"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    settings = dict(line.split(" ", 1) for line in lines)
    return settings["user"], settings["identityfile"]


def _seconds(command: list[str]) -> float:
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=120
    )
    return float(done.stdout.split()[-1])
