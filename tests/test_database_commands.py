"""``simmate-remote database``: status, url, shell, backup, restore, upgrade; and what was configured wrongly."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import text

from simmate_remote import database
from simmate_remote.cli.app import main
from simmate_remote.database import schema
from simmate_remote.database.configuration import load
from simmate_remote.database.url import find_password, parameters_of
from simmate_remote.errors import (
    DatabaseConfigurationError,
    DatabaseNewerError,
    DatabasePasswordError,
    DatabaseUnreachableError,
)
from tests.databases import end_database, place_in, supervisor_of
from tests.own_server import OwnServer, own_server


class Terminal:
    """Runs command lines and keeps what they printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.err = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["database", *arguments])
        out, self.err = self._capsys.readouterr()
        assert (ended.value.code or 0) == code, self.err
        return out

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "300")
    return Terminal(capsys)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    with own_server(tmp_path_factory.mktemp("own") / "server") as server:
        yield server


@pytest.fixture(params=["embedded", "sqlite", "own"])
def kind(request: pytest.FixtureRequest, user_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each kind of database, and nothing in it."""
    if request.param == "sqlite":
        monkeypatch.setenv("SIMMATE_REMOTE_DATABASE", f"sqlite:///{user_folders}/runs.db")
    elif request.param == "own":
        server: OwnServer = request.getfixturevalue("server")
        monkeypatch.setenv("SIMMATE_REMOTE_DATABASE", server.url())
        with psycopg.connect(server.url()) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    yield request.param
    database.engine.dispose()


def put_run(identity: str) -> None:
    with database.engine.begin() as connection:
        table = sqlalchemy.Table("simmate_remote_journals", sqlalchemy.MetaData(), autoload_with=connection)
        needed = {column.name: 0 for column in table.columns if not column.nullable and column.default is None}
        texts = {column.name: "x" for column in table.columns if isinstance(column.type, sqlalchemy.String)}
        key = next(iter(table.primary_key)).name
        connection.execute(table.insert().values({**needed, **texts, key: identity}))


def count() -> int:
    with database.engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM simmate_remote_journals")) or 0)


def test_from_nothing_to_a_backup_and_back_on_another_machine(
    kind: str, terminal: Terminal, tmp_path: Path, user_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = schema.known_versions()[-1]
    assert terminal.json("status")["version"] is None
    assert terminal.json("upgrade") == {"before": None, "now": newest}
    assert terminal.json("upgrade") == {"before": newest, "now": newest}
    put_run("one")
    file = str(tmp_path / "kept")
    assert terminal.json("backup", file)["size"] == Path(file).stat().st_size
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
    assert "is there already" in terminal.json("backup", file, code=1)["what"]
    put_run("two")
    terminal("backup", file, "--force")
    put_run("three")
    assert terminal.json("restore", file, code=1)["error"] == "BackupError"
    assert count() == 3
    terminal("restore", file, "--replace")
    assert count() == 2
    if kind != "own":  # another machine, where there is nothing
        database.engine.dispose()
        (user_folders / "data2").mkdir()
        monkeypatch.setenv("XDG_DATA_HOME", str(user_folders / "data2"))
        if kind == "sqlite":
            monkeypatch.setenv("SIMMATE_REMOTE_DATABASE", f"sqlite:///{user_folders}/data2/runs.db")
        try:
            terminal("restore", file)
            assert count() == 2
        finally:
            database.engine.dispose()
            end_database(user_folders / "data2")


def test_a_newer_database_is_refused_and_left_as_it_is(kind: str, terminal: Terminal, tmp_path: Path) -> None:
    terminal("upgrade")
    put_run("one")
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE simmate_remote_version SET version_num = '9999'"))
    with pytest.raises(DatabaseNewerError, match="nothing was changed"):
        schema.upgrade(database.engine)
    assert terminal.json("upgrade", code=1)["error"] == "DatabaseNewerError"
    assert terminal.json("status")["version"] == "9999"
    file = str(tmp_path / "kept")
    terminal("backup", file)
    with database.engine.begin() as connection:
        connection.execute(text(f"UPDATE simmate_remote_version SET version_num = '{schema.known_versions()[-1]}'"))
    assert terminal.json("restore", file, "--replace", code=1)["error"] == "DatabaseNewerError"
    assert count() == 1


def test_the_prompt_and_the_address(kind: str, terminal: Terminal, user_folders: Path) -> None:
    terminal("upgrade")
    put_run("one")
    if kind == "sqlite":
        assert terminal("url").strip() == f"sqlite:///{user_folders}/runs.db"
        return
    shell = ["from simmate_remote.cli.app import main; main()", "database", "shell", "-Atc", "SELECT 7"]
    asked = subprocess.run([sys.executable, "-c", *shell], capture_output=True, text=True, check=True)
    assert asked.stdout == "7\n"
    hidden, shown = terminal("url").strip(), terminal("url", "--password").strip()
    password = parameters_of(shown)["password"]
    assert password not in hidden
    assert password not in terminal("status") + terminal.err
    with psycopg.connect(shown) as connection:
        assert connection.execute("SELECT 7").fetchone() == (7,)
    if kind == "embedded":
        with psycopg.connect(hidden) as connection:
            assert connection.execute("SELECT 7").fetchone() == (7,)


def test_another_program_keeps_the_server_running(terminal: Terminal, user_folders: Path) -> None:
    file = user_folders / "config" / "simmate-remote" / "database.yaml"
    file.parent.mkdir()
    file.write_text("lease: 300 ms\n")
    with psycopg.connect(terminal("url").strip(), autocommit=True) as connection:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            connection.execute("SELECT pg_sleep(0.1)")
        assert supervisor_of(place_in(user_folders / "data")) is not None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mysql://me@db/runs", "mysql://… is no database"),
        ("runs.db", "a text without :// is no database"),
        ("sqlite://", "SQLite needs a file"),
        ("sqlite:///runs.db", "needs the whole path of its file.* it would be sqlite:////.*/runs.db"),
        ("postgresql://me:geheim@db:many/runs", "the host or the port of the URL cannot be understood"),
        ("postgresql://me:geheim@db/runs?no_such_option=1", "cannot be understood"),
        ("postgresql://me:geheim@one,two/runs", "names several"),
        ("postgresql://me:geheim@one:1,two:2/runs", "names several"),
        ("postgresql://me:geheim@/runs?host=one,two", "names several"),
        ("postgresql://me:geheim@db/runs?service=mine", "service= cannot be used here: write what it stands for"),
        ("postgresql://me:geheim@db/runs?sslnegotiation=direct", "sslnegotiation=direct cannot be used here"),
        ("postgresql://me:geheim@db/runs?sslmode=verify_full", "sslmode=verify_full cannot be used here, only disable"),
        ("postgresql://me:geheim@db/runs?channel_binding=require", "channel_binding=require cannot be used here"),
        ("postgresql://me:geheim@db/runs?ssl_min_protocol_version=TLSv1", "only TLSv1.2 or TLSv1.3"),
    ],
)
def test_a_wrong_url_is_said_and_no_password_with_it(given: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMMATE_REMOTE_DATABASE", given)
    with pytest.raises(DatabaseConfigurationError, match=said) as caught:
        database.engine.connect()
    assert "geheim" not in str(caught.value)


def test_a_home_folder_is_the_same_everywhere(user_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMMATE_REMOTE_DATABASE", "sqlite:///~/runs.db")
    assert load().url == f"{user_folders}/home/runs.db"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("url: [1]", "`url` is a text"),
        ("- url", "expected fields"),
        ("urll: x", "no field 'urll'"),
        ("reach: there", "`reach` is `here` or `host`"),
        ("url: postgresql://db/x\nreach: host", "go together"),
        ("lease: 5", "`lease`"),
        ("url: {", "cannot be read"),
    ],
)
def test_a_wrong_file_is_said(given: str, said: str, user_folders: Path) -> None:
    file = user_folders / "config" / "simmate-remote" / "database.yaml"
    file.parent.mkdir()
    file.write_text(given)
    with pytest.raises(DatabaseConfigurationError, match=said):
        _ = database.engine


def test_a_file_with_a_password_is_its_owners_alone(user_folders: Path) -> None:
    file = user_folders / "config" / "simmate-remote" / "database.yaml"
    file.parent.mkdir()
    file.write_text("url: postgresql://me:geheim@db/runs\n")
    file.chmod(0o644)
    with pytest.raises(DatabaseConfigurationError, match="others can read it") as caught:
        _ = database.engine
    assert "geheim" not in str(caught.value)
    file.chmod(0o600)
    _ = database.engine


def test_nobody_answers_or_the_password_is_wrong(server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMMATE_REMOTE_DATABASE", server.url(password="geheim"))
    with pytest.raises(DatabasePasswordError, match="does not accept") as caught:
        database.engine.connect()
    assert "geheim" not in str(caught.value)
    monkeypatch.setenv("SIMMATE_REMOTE_DATABASE", "postgresql://me:geheim@127.0.0.1:1/runs")
    with pytest.raises(DatabaseUnreachableError, match="does not answer") as unreachable:
        database.engine.connect()
    assert "geheim" not in str(unreachable.value)


def test_a_password_file_is_read_as_libpq_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pgpass"
    file.write_text("# none\nother:*:*:*:no\ndb:5432:*:m\\:e:a\\\\b\\:c\n*:*:*:*:last\n")
    monkeypatch.setenv("PGPASSFILE", str(file))
    file.chmod(0o644)
    assert find_password(parameters_of("postgresql://m%3Ae@db/x")) is None
    file.chmod(0o600)
    assert find_password(parameters_of("postgresql://m%3Ae@db/x")) == "a\\b:c"
    assert find_password(parameters_of("postgresql://me@db/x")) == "last"
    assert find_password(parameters_of("postgresql://me:own@db/x")) == "own"
    monkeypatch.setenv("PGPASSWORD", "variable")
    assert find_password(parameters_of("postgresql://me@db/x")) == "variable"
