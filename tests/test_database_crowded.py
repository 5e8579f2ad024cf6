"""A server with fewer connections than there are workers: they take turns, and who gets none is told so."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import text

from simmate_remote import database
from simmate_remote.database import crowding
from simmate_remote.database.address import url_of
from simmate_remote.database.configuration import load
from simmate_remote.database.connecting import connect
from simmate_remote.database.embedded.place import Place
from simmate_remote.database.lent import Lent
from simmate_remote.database.pool import make_engine
from simmate_remote.errors import DatabaseUnreachableError
from tests.databases import place_in, supervisor_of
from tests.hosts import wait_until

ROOM = 5


@pytest.fixture
def address(user_folders: Path) -> Iterator[str]:
    """Give the URL of an embedded server that has room for a few."""
    place = place_in(user_folders / "data")
    database.engine.connect().close()
    database.engine.dispose()
    end(place)
    with (place.data / "postgresql.conf").open("a") as file:
        file.write(f"max_connections = {ROOM + 3}\n")  # three are kept for a superuser
    yield url_of(load(), with_password=True)
    database.engine.dispose()


def end(place: Place) -> None:
    os.kill(supervisor_of(place) or 0, signal.SIGTERM)
    wait_until(lambda: supervisor_of(place) is None, 30, "the end of the database")


@pytest.fixture
def lent(address: str, tmp_path: Path) -> Lent:
    """Lend it to workers, as a host does."""
    given = psycopg.conninfo.conninfo_to_dict(address)
    (tmp_path / "pgpass").write_text(f"*:*:*:*:{given.pop('password')}\n")
    (tmp_path / "pgpass").chmod(0o600)
    (tmp_path / "address.json").write_text(json.dumps({"parameters": given}))
    return Lent(tmp_path, 30.0)


@contextlib.contextmanager
def full(address: str) -> Iterator[list[psycopg.Connection[object]]]:
    """Let others have all connections."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(psycopg.connect(address)) for _ in range(ROOM)]


def test_more_workers_than_connections_take_turns(lent: Lent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowding, "IDLE", 0.2)
    workers = [make_engine(lent) for _ in range(3 * ROOM)]
    seen = []

    def use(worker: sqlalchemy.Engine) -> None:
        with worker.connect() as connection:
            seen.append(connection.scalar(text("SELECT 7")))

    threads = [threading.Thread(target=use, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert seen == [7] * len(workers)
    # None holds one for ever; and what was given back is made again.
    wait_until(lambda: not any(worker.pool.checkedin() for worker in workers), 10, "idle connections are closed")
    use(workers[0])
    for worker in workers:
        worker.dispose()


@pytest.mark.parametrize("who", ["worker", "own URL", "embedded"])
def test_who_comes_when_all_are_in_use_waits_and_is_told_if_that_stays_so(
    who: str, address: str, lent: Lent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask() -> object:
        if who == "worker":
            worker = make_engine(lent)
            with worker.connect() as connection:
                answer = connection.scalar(text("SELECT 7"))
            worker.dispose()
            return answer
        with connect(load()) as connection:
            return connection.execute("SELECT 7").fetchone()[0]

    if who == "own URL":
        monkeypatch.setenv("SIMMATE_REMOTE_DATABASE", address)
    with full(address) as others:
        with monkeypatch.context() as patch:
            patch.setattr(crowding, "PATIENCE", 0.2)
            patch.setattr(crowding, "PATIENCE_THERE", 0.2)
            with pytest.raises(DatabaseUnreachableError, match="no connection left"):
                ask()
        # One is given back by the time that it has been refused once more.
        threading.Timer(0.3, others[0].close).start()
        assert ask() == 7
