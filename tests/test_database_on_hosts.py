"""The database from a worker on a host: through the firewall, outages, restarts, and sessions that come and go."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from distributed import fire_and_forget
from sqlalchemy import text

from simmate_remote import connect, database
from tests.boxes import Box
from tests.databases import place_in, server_of, supervisor_of
from tests.hosts import end_session, host_of, leave_session, travels, wait_until


@travels
def write_row(number: int) -> int:
    from sqlalchemy import text

    from simmate_remote.database import session

    with session.begin() as rows:
        rows.execute(text("INSERT INTO seen VALUES (:number)"), {"number": number})
        return int(rows.scalar(text("SELECT count(*) FROM seen")))


@travels
def variables() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name.startswith(("PG", "SIMMATE"))}


@pytest.fixture
def table() -> None:
    with database.session.begin() as rows:
        rows.execute(text("CREATE TABLE seen (number int)"))
    database.engine.dispose()


def test_a_worker_writes_rows_through_outages_and_restarts(box: Box, table: None, user_folders: Path) -> None:
    place = place_in(user_folders / "data")
    os.kill(supervisor_of(place) or 0, signal.SIGTERM)
    host = host_of(box, workers={"count": 1})
    with connect(host) as lab:
        try:
            assert supervisor_of(place) is None
            assert lab.client.submit(write_row, 1).result(timeout=40) == 1
            box.cut()
            assert lab.client.submit(write_row, 2).result(timeout=50) == 2
            os.kill(server_of(place), signal.SIGKILL)
            assert lab.client.submit(write_row, 3).result(timeout=50) == 3
        finally:
            end_session(host)


@travels
def write_when(path: str, number: int) -> None:
    import time
    from pathlib import Path

    from sqlalchemy import text

    from simmate_remote.database import session

    Path(path + ".began").touch()
    while not Path(path).exists():
        time.sleep(0.05)
    with session.begin() as rows:
        rows.execute(text("INSERT INTO seen VALUES (:number)"), {"number": number})


@travels
def own_pid() -> int:
    import os

    return os.getpid()


def numbers() -> list[int]:
    with database.session() as rows:
        return [row[0] for row in rows.execute(text("SELECT number FROM seen ORDER BY number"))]


def test_a_worker_restarted_while_nobody_is_connected_waits_for_the_database(
    box: Box, table: None, user_folders: Path
) -> None:
    host = host_of(box, workers={"count": 1})
    password = place_in(user_folders / "data").password()
    now = box.run("mktemp -u").stdout.strip()
    with connect(host) as lab:
        seen = lab.client.submit(variables).result(timeout=40)
        lent = seen["SIMMATE_REMOTE_DATABASE_LENT"]
        assert seen["PGHOST"] == lent
        assert (seen["PGUSER"], seen["PGPASSFILE"]) == ("simmate", f"{lent}/pgpass")
        assert not [name for name, value in seen.items() if password in value]
        modes = box.run(f"stat -L -c '%a %F' {lent} {lent}/* {lent}/.s.PGSQL.5432").stdout.splitlines()
        assert modes == ["700 directory", "600 regular file", "600 regular file", "700 socket"]
        assert box.run(f"grep -rlF {password} ~/simmate-remote | wc -l").stdout.strip() == "0"
        processes = box.run("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'").stdout
        assert password not in processes.replace(f"grep -rlF {password}", "")
        worker = lab.client.submit(own_pid).result(timeout=20)
        fire_and_forget(lab.client.submit(write_when, now, 7))
        wait_until(lambda: box.run(f"test -e {now}.began").returncode == 0, 20, "the begin of the task")
    leave_session(host)
    box.run(f"rm {now}.began")
    box.kill(worker, signal.SIGKILL)
    wait_until(lambda: box.run(f"test -e {now}.began").returncode == 0, 30, "the task in the worker's successor")
    box.run(f"touch {now}")
    assert numbers() == []
    with connect(host):
        try:
            wait_until(lambda: numbers() == [7], 30, "the row")
        finally:
            end_session(host)
