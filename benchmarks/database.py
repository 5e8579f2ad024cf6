"""The database: how soon the embedded one is there, what it costs, and rows from a worker against ``ssh -R``."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.idle import memory
from benchmarks.lab_host import end_session, lab_host
from benchmarks.pairs import Comparison, Figure, compare
from simmate_remote import connect
from simmate_remote.database.embedded.place import SOCKET
from tests.databases import end_database, place_in, supervisor_of
from tests.lab import Lab

FIRST = 3.0
LATER = 0.5
IDLE = 60.0
ONE_ROW = 2.0
MANY_ROWS = 1.2
AT_ONCE = 500
ROWS = 200
SETTLING = 5.0

START = """
import time
from simmate_remote.database.configuration import load
from simmate_remote.database.connecting import connect
import psycopg
configuration = load()
began = time.perf_counter()
connection = connect(configuration)
connection.execute("SELECT 1")
print(time.perf_counter() - began)
connection.close()
"""


def measure(lab: Lab, runs: int) -> list[Comparison | Figure]:
    """Measure all of it, with a database of its own in a folder that is removed."""
    with own_folder() as data:
        figures = _starts(data, runs)
        return [*_rows(lab, runs, data), *figures]


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """Let the embedded database of this process, and of those that it starts, be in a folder of its own."""
    before = {name: os.environ.pop(name, None) for name in ("XDG_DATA_HOME", "SIMMATE_REMOTE_DATABASE")}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = folder
        try:
            yield Path(folder)
        finally:
            end_database(Path(folder))
            del os.environ["XDG_DATA_HOME"]
            os.environ.update({name: value for name, value in before.items() if value is not None})


def _starts(data: Path, runs: int) -> list[Figure]:
    """Time the first start and the later ones, and weigh what is left when nobody is connected."""
    first, later = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            for times in (first, later):
                times.append(_start(Path(folder)))
                end_database(Path(folder))
    _start(data)
    time.sleep(SETTLING)
    supervisor = supervisor_of(place_in(data))
    assert supervisor is not None
    return [
        Figure("embedded database, first start", statistics.median(first), "s", at_most=FIRST),
        Figure("embedded database, later starts", statistics.median(later), "s", at_most=LATER),
        Figure("idle embedded database, memory", memory(_family(supervisor)), "MB", at_most=IDLE),
    ]


def _start(data: Path) -> float:
    environment = {**os.environ, "XDG_DATA_HOME": str(data)}
    done = subprocess.run([sys.executable, "-c", START], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _family(pid: int) -> list[int]:
    """Give a process and all that descend from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _family(int(child)))]


def _rows(lab: Lab, runs: int, data: Path) -> list[Comparison]:
    host = lab_host(lab)
    with connect(host) as connection:
        try:
            client = connection.client
            given = client.submit(_make_table).result(timeout=60)
            sockets = place_in(data).socket_folder()
            assert sockets is not None
            with _by_ssh(lab, sockets / SOCKET) as folder:
                way = {"ours": given["folder"], "theirs": folder}

                def one(which: str) -> float:
                    return float(client.submit(_write, way[which], given, ROWS, 1, pure=False).result(timeout=120))

                def many(which: str) -> float:
                    return float(client.submit(_write, way[which], given, 20, AT_ONCE, pure=False).result(timeout=120))

                return [
                    _compare("one row, written by a worker", one, runs, ONE_ROW),
                    _compare(f"{AT_ONCE} rows in one transaction", many, runs, MANY_ROWS),
                ]
        finally:
            end_session(host)


def _compare(name: str, measure_once: Callable[[str], float], runs: int, at_most: float) -> Comparison:
    ours, theirs = (lambda: measure_once("ours")), (lambda: measure_once("theirs"))
    return compare(name, ours, theirs, runs=runs, unit="ms", what="ssh -R", at_most=at_most)


def _make_table() -> dict[str, Any]:
    """Run in a worker: make a table, and say where the database is."""
    import os

    from sqlalchemy import text

    from simmate_remote.database import engine

    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE measured (number int, words text)"))
    return {
        "folder": os.environ["PGHOST"],
        "user": os.environ["PGUSER"],
        "dbname": os.environ["PGDATABASE"],
        "passfile": os.environ["PGPASSFILE"],
    }


def _write(folder: str, given: dict[str, str], times: int, rows: int) -> float:
    """Run in a worker: write rows, so many to a transaction, and give the median time of a transaction in ms."""
    import statistics
    import time

    import psycopg

    known = {name: given[name] for name in ("user", "dbname", "passfile")}
    statement, values = "INSERT INTO measured VALUES (%s, %s)", [(number, "words") for number in range(rows)]
    found = []
    with psycopg.connect(host=folder, **known) as connection, connection.cursor() as cursor:
        for _ in range(times):
            began = time.perf_counter()
            cursor.executemany(statement, values)  # as SQLAlchemy sends many rows, too
            connection.commit()
            found.append(time.perf_counter() - began)
    return statistics.median(found) * 1e3


# These travel whole, as what is typed at a prompt does: the host has no benchmarks.
for _each in (_make_table, _write):
    _each.__module__ = "__main__"


@contextlib.contextmanager
def _by_ssh(lab: Lab, server: Path) -> Iterator[str]:
    """Give a folder on the host with a socket that ``ssh -R`` leads to the database."""
    folder = f"/tmp/by-ssh-{os.urandom(4).hex()}"
    ssh = ["ssh", "-F", str(lab.ssh_config), "lab-box"]
    subprocess.run([*ssh, f"mkdir -m 700 {folder}"], check=True)
    forward = ["-o", "ExitOnForwardFailure=yes", "-N", "-R", f"{folder}/{SOCKET}:{server}"]
    process = subprocess.Popen([*ssh[:3], *forward, "lab-box"])
    try:
        waiting = f"for i in $(seq 100); do [ -S {folder}/{SOCKET} ] && exit; sleep 0.1; done; exit 1"
        subprocess.run([*ssh, waiting], check=True)
        yield folder
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        subprocess.run([*ssh, f"rm -r {folder}"], check=True)
