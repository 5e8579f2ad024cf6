"""The database from a worker on a host: through the firewall, outages, restarts, and sessions that come and go."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import fire_and_forget
from sqlalchemy import text

from simmate_remote import connect, database
from simmate_remote.errors import DatabaseUnreachableError
from simmate_remote.testing import EmbeddedHost
from tests.boxes import Box, EmbeddedBox
from tests.databases import place_in, server_of, supervisor_of
from tests.hosts import end_session, host_of, leave_session, travels, wait_until
from tests.own_server import OwnServer, TlsFront, own_server


@travels
def write_row(number: int) -> int:
    from sqlalchemy import text

    from simmate_remote.database import session

    with session.begin() as rows:
        rows.execute(text("INSERT INTO seen VALUES (:number)"), {"number": number})
        return int(rows.scalar(text("SELECT count(*) FROM seen")))


@travels
def write_two(path: str, number: int) -> int:
    import time
    from pathlib import Path

    from sqlalchemy import text

    from simmate_remote.database import session

    with session.begin() as rows:
        rows.execute(text("INSERT INTO seen VALUES (:number)"), {"number": number})
        Path(path + ".began").touch()
        while not Path(path).exists():
            time.sleep(0.05)
        time.sleep(0.3)  # the link is cut by now
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


@pytest.mark.slow_in_the_lab
def test_a_worker_writes_rows_through_outages_and_restarts(box: Box, table: None, user_folders: Path) -> None:
    place = place_in(user_folders / "data")
    os.kill(supervisor_of(place) or 0, signal.SIGTERM)
    host = host_of(box, workers={"count": 1})
    with connect(host) as lab:
        try:
            assert supervisor_of(place) is None
            assert lab.client.submit(write_row, 1).result(timeout=40) == 1
            assert lab.database is database.engine
            now = box.run("mktemp -u").stdout.strip()
            halfway = lab.client.submit(write_two, now, 2)
            wait_until(lambda: box.run(f"test -e {now}.began").returncode == 0, 20, "the first half of a transaction")
            box.run(f"touch {now}")
            box.cut()
            assert halfway.result(timeout=50) == 3
            os.kill(server_of(place), signal.SIGKILL)
            # What is under way in that moment fails, as with any server.
            wait_until(lambda: supervisor_of(place) is None, 20, "the end of what the server left")
            assert lab.client.submit(write_row, 3).result(timeout=50) == 4
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


@pytest.mark.slow_in_the_lab
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


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnServer]:
    with own_server(tmp_path / "server") as server:
        yield server


@contextlib.contextmanager
def behind_tls(server: OwnServer, folder: Path) -> Iterator[tuple[int, Path]]:
    """Give the port of a front that demands TLS, and its certificate."""
    front = TlsFront(server.port, folder)
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(front.arrive, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listening.sockets[0].getsockname()[1], front.certificate
    finally:
        loop.call_soon_threadsafe(listening.close)
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        loop.call_soon_threadsafe(loop.call_later, 0.2, loop.stop)
        thread.join()
        loop.close()


@pytest.mark.parametrize("reach", ["here", "host"])
def test_a_server_of_ones_own_that_demands_tls(
    reach: str, own: OwnServer, user_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedHost() as embedded, behind_tls(own, user_folders) as (port, certificate):
        monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(user_folders))
        file = user_folders / "config" / "simmate-remote" / "database.yaml"
        file.parent.mkdir(mode=0o700)
        file.touch(0o600)
        url = own.url(port=port, options=f"?sslmode=verify-full&sslrootcert={certificate}")
        file.write_text(f"url: {url}\n" + (f"reach: {reach}\nhost: lab-box\n" if reach == "host" else ""))
        file.chmod(0o600)
        if reach == "host":
            with pytest.raises(DatabaseUnreachableError, match="nothing is connected to that host"):
                database.engine.connect()
        host = host_of(EmbeddedBox(embedded), workers={"count": 1})
        with connect(host) as lab:
            try:
                with database.session.begin() as rows:
                    rows.execute(text("CREATE TABLE seen (number int)"))
                assert lab.client.submit(write_row, 1).result(timeout=40) == 1
                assert numbers() == [1]
                seen = lab.client.submit(variables).result(timeout=20)
                assert not [name for name, value in seen.items() if own.password in value]
                assert seen["PGHOST"] == (seen["SIMMATE_REMOTE_DATABASE_LENT"] if reach == "here" else "127.0.0.1")
                database.engine.dispose()
            finally:
                end_session(host)


@travels
def try_to_connect() -> str:
    from simmate_remote.database import engine

    try:
        engine.connect()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return f"{type(error).__name__}: {error}"
    return "connected"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:////tmp/runs.db", "DatabaseConfigurationError: the database is SQLite, a file on "),
        ("postgresql://me:geheim@127.0.0.1:1/x", "DatabaseUnreachableError: the database cannot be reached from"),
        ("mysql://me@db/x", "DatabaseConfigurationError: SIMMATE_REMOTE_DATABASE: mysql"),
    ],
)
def test_a_worker_is_told_why_there_is_no_database(url: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMMATE_REMOTE_DATABASE", url)
    with EmbeddedHost() as embedded:
        host = host_of(EmbeddedBox(embedded), workers={"count": 1})
        with connect(host) as lab:
            try:
                answer = lab.client.submit(try_to_connect).result(timeout=40)
            finally:
                end_session(host)
    assert answer.startswith(said)
    assert "geheim" not in answer
    assert "Connect call failed" in answer or not said.startswith("DatabaseUnreachable")
