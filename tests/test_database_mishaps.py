"""What a reboot, another machine, another user, or a person's own settings must not do to the database."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import text

from simmate_remote import database
from simmate_remote.database.backup import backup, restore
from simmate_remote.database.configuration import load
from simmate_remote.database.embedded.place import SOCKET, Place
from simmate_remote.database.schema import upgrade
from simmate_remote.database.url import parameters_of, without_password
from simmate_remote.errors import BackupError, DatabaseConfigurationError
from tests.databases import end_database, place_in, supervisor_of
from tests.hosts import wait_until

OTHERS = 12345
"""Another user's number."""


@pytest.fixture
def place(user_folders: Path) -> Iterator[Place]:
    yield place_in(user_folders / "data")
    end_database(user_folders / "data")


@pytest.fixture
def engine(place: Place) -> Iterator[sqlalchemy.Engine]:
    yield (engine := database.engine)
    engine.dispose()


def run(engine: sqlalchemy.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def count(engine: sqlalchemy.Engine, table: str) -> int:
    with engine.connect() as connection:
        return connection.scalar(text(f"SELECT count(*) FROM {table}"))


def stop(engine: sqlalchemy.Engine, place: Place) -> None:
    engine.dispose()
    end_database(place.folder.parents[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder: run the tests as root")
def test_a_socket_that_another_user_made_after_a_reboot_is_passed_over(engine: sqlalchemy.Engine, place: Place) -> None:
    run(engine, "CREATE TABLE seen (number int)")
    stop(engine, place)
    with (
        tempfile.TemporaryDirectory(prefix="simmate-remote-db-", dir="/tmp") as folder,
        socket.socket(socket.AF_UNIX) as listening,
    ):
        theirs = Path(folder)
        listening.bind(str(theirs / SOCKET))
        listening.listen()
        os.chown(theirs, OTHERS, OTHERS)
        place.address.write_text(str(theirs))
        assert place.socket_folder() is None
        assert count(engine, "seen") == 0
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_a_backup_does_not_replace_the_users_own_tables_unasked(
    engine: sqlalchemy.Engine, place: Place, tmp_path: Path
) -> None:
    run(engine, "CREATE TABLE energies (number int)", "INSERT INTO energies VALUES (1)")
    backup(load(), tmp_path / "file")
    run(engine, "INSERT INTO energies VALUES (2)")
    with pytest.raises(BackupError, match="there is something in the database already"):
        restore(load(), tmp_path / "file")
    assert count(engine, "energies") == 2
    restore(load(), tmp_path / "file", replace=True)
    assert count(engine, "energies") == 1


@pytest.mark.slow
def test_a_backup_goes_into_a_database_that_has_nothing_yet_whatever_a_person_has_set_for_psql(
    engine: sqlalchemy.Engine, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(engine)
    run(engine, "CREATE TABLE energies (number int)", "INSERT INTO energies VALUES (1)")
    backup(load(), tmp_path / "file")
    stop(engine, place)
    shutil.rmtree(place.data)
    (tmp_path / ".psqlrc").write_text("\\timing on\n\\x on\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    upgrade(engine)
    restore(load(), tmp_path / "file")
    assert count(engine, "energies") == 1


@pytest.mark.slow
def test_a_large_backup_is_not_held_in_memory_and_one_cut_short_changes_nothing(
    engine: sqlalchemy.Engine, place: Place, tmp_path: Path
) -> None:
    run(engine, "CREATE TABLE words (word text)", "CREATE TABLE last (word text)")
    run(engine, "INSERT INTO words SELECT repeat('x', 1000000) FROM generate_series(1, 64)")
    backup(load(), tmp_path / "file")
    run(engine, "INSERT INTO last VALUES ('new')")
    whole = (tmp_path / "file").read_bytes()
    (tmp_path / "short").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BackupError, match="pg_restore failed") as caught:
        restore(load(), tmp_path / "short", replace=True)
    assert "end of file" in (caught.value.detail or "")
    assert (count(engine, "words"), count(engine, "last")) == (64, 1)

    tracemalloc.start()
    try:
        restore(load(), tmp_path / "file", replace=True)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()
    assert (count(engine, "words"), count(engine, "last")) == (64, 0)


def test_what_the_database_refuses_of_a_backup_is_said_and_nothing_of_it_is_kept(
    engine: sqlalchemy.Engine, place: Place, tmp_path: Path
) -> None:
    run(
        engine,
        "CREATE TABLE words (word text)",
        "INSERT INTO words SELECT repeat('x', 1000000) FROM generate_series(1, 9)",
    )
    backup(load(), tmp_path / "file")
    # Another kind of thing of that name, on which the table cannot be dropped.
    run(engine, "DROP TABLE words", "CREATE VIEW words AS SELECT 1 AS number")
    with pytest.raises(BackupError, match="psql failed") as caught:
        restore(load(), tmp_path / "file", replace=True)
    assert "is not a table" in (caught.value.detail or "")
    assert count(engine, "words") == 1


def test_who_stands_in_the_databases_folder_is_left_alone_and_an_empty_record_hinders_nobody(
    engine: sqlalchemy.Engine, place: Place
) -> None:
    run(engine, "CREATE TABLE seen (number int)")
    stop(engine, place)
    (place.data / "postmaster.pid").write_text("")  # as a loss of power may leave it
    with subprocess.Popen(["sleep", "1000"], cwd=place.data) as shell:
        try:
            assert count(engine, "seen") == 0
            assert shell.poll() is None
        finally:
            shell.kill()


@pytest.mark.slow  # it waits a minute for the other one
@pytest.mark.timeout(300)
def test_a_supervisor_that_is_one_too_many_touches_nothing(engine: sqlalchemy.Engine, place: Place) -> None:
    run(engine, "CREATE TABLE seen (number int)")
    before, address = supervisor_of(place), place.address.read_text()
    second = subprocess.run(
        [sys.executable, "-m", "simmate_remote.database.embedded.supervisor"],
        input=f'{{"folder": "{place.folder}", "lease": 1}}\n',
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert "is being served on the machine" in second.stdout
    assert (supervisor_of(place), place.address.read_text()) == (before, address)
    wait_until(lambda: count(engine, "seen") == 0, 10, "it answers")


@pytest.mark.parametrize("password", ["12#geheim", "pa/geheim", "pa?geheim", "se\u2100geheim"])
def test_a_password_that_is_not_escaped_is_refused_and_not_shown(
    password: str, user_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://me:{password}@127.0.0.1:1/runs"
    monkeypatch.setenv("SIMMATE_REMOTE_DATABASE", url)
    with pytest.raises(DatabaseConfigurationError, match="%23") as caught:
        load()
    assert "geheim" not in str(caught.value)


def test_a_plus_is_a_plus_and_a_space_is_none() -> None:
    said = parameters_of("postgresql://me@/runs?host=/tmp/a+b&passfile=/Application%20Support/pgpass")
    assert (said["host"], said["passfile"]) == ("/tmp/a+b", "/Application Support/pgpass")
    assert "Application%20Support" in without_password("postgresql://me@/runs?passfile=/Application%20Support/p")
