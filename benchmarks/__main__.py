"""``python -m benchmarks``: run every benchmark in the lab and print the table; ``--runs`` for more or fewer pairs."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import sys

import asyncssh
import distributed

from benchmarks import cold_connect, tasks
from benchmarks.cold_connect import lab_host
from benchmarks.pairs import table
from simmate_remote import RemoteCluster
from tests.lab import Lab


def count_logins(lab: Lab) -> int:
    """Count in sshd's log the logins of a session that computes something."""
    from distributed import Client

    mark = lab.mark()
    with RemoteCluster(lab_host(lab)) as cluster, Client(cluster) as client:
        client.gather(client.map(abs, range(100)))
    return lab.logins(mark)


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="pairs that count, for each benchmark")
    parser.add_argument("--only", choices=["connect", "tasks", "logins"], help="run one of them")
    options = parser.parse_args()
    if missing := Lab.missing():
        sys.exit(f"the lab cannot be had: {missing[0]}; this would enable it: {missing[1]}")
    found = []
    with Lab.up() as lab:
        if options.only in (None, "connect"):
            found.append(cold_connect.measure(lab, options.runs))
        if options.only in (None, "tasks"):
            found.append(tasks.measure(lab, options.runs))
        logins = count_logins(lab) if options.only in (None, "logins") else None
    print(
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, distributed {distributed.__version__}, asyncssh {asyncssh.__version__}\n"
    )
    print(table(found))
    if logins is not None:
        print(f"\nSSH logins per session, counted in sshd's log: {logins}")


if __name__ == "__main__":
    main()
