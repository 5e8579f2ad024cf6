"""Backup and restore: the whole database in one file, which another machine takes as it is."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from simmate_remote.database.client_programs import ClientPrograms, client_programs
from simmate_remote.database.configuration import Configuration
from simmate_remote.database.schema import VERSION_TABLE, known_versions, refuse_newer
from simmate_remote.errors import BackupError, Remedy

OF_POSTGRES = b"PGDMP"
OF_SQLITE = b"SQLite format 3\0"
OURS = "simmate_remote_"
"""How the names of our tables begin."""

NEVER_EMPTY = (VERSION_TABLE, f"{OURS}transitions")
"""Tables that have rows from the begin."""

PATIENCE = "SET lock_timeout = '30s';"

INSTEAD = {b"SET transaction_timeout = 0;\n": b"", b"SET lock_timeout = 0;\n": f"{PATIENCE}\n".encode()}
"""What older servers do not know, and what would let a restore wait for ever for somebody's open transaction."""

HEAD = 40
"""Lines of a backup's statements that such settings are among."""


def backup(configuration: Configuration, path: Path, *, overwrite: bool = False) -> int:
    """Write the whole database to a file that only its owner can read, and give the file's size in bytes.

    Args:
        configuration: Which database.
        path: The file; it is there as a whole or not at all.
        overwrite: Whether a file that is there is replaced.

    Raises:
        BackupError: It cannot be written.
        DatabaseError: The database cannot be read.
    """
    if path.exists() and not overwrite:
        raise BackupError(
            f"{path} is there already",
            meanwhile="it was not touched",
            remedies=(Remedy(f"simmate-remote database backup {shlex.quote(str(path))} --force", "replaces it"),),
        )
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # its owner alone can read it
        os.close(handle)
        new = Path(name)
        try:
            if configuration.kind == "sqlite":
                _copy_sqlite(Path(configuration.url), new)
            else:
                with client_programs(configuration) as client:
                    _run(client, "pg_dump", "--format=custom", f"--file={new}", f"--dbname={client.address}")
            with new.open("rb") as file:
                os.fsync(file)
            size = new.stat().st_size
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror or error}") from error
    return size


def restore(configuration: Configuration, path: Path, *, replace: bool = False) -> None:
    """Take over a backup: all of it, or nothing.

    Args:
        configuration: Which database it goes into.
        path: The file that :func:`backup` wrote.
        replace: Whether what is in the database now is lost for it.

    Raises:
        BackupError: The file is no backup, or is one of another kind of database, or there is something already.
        DatabaseNewerError: A newer version of this program wrote it.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(16)
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}", remedies=(_look_at(path),)) from error
    kind = "sqlite" if begin == OF_SQLITE else "postgresql" if begin.startswith(OF_POSTGRES) else None
    if kind is None:
        raise BackupError(f"{path} is no backup of a database", remedies=(_look_at(path),))
    if (kind == "sqlite") != (configuration.kind == "sqlite"):
        raise BackupError(
            f"{path} is a backup of {'SQLite' if kind == 'sqlite' else 'Postgres'}, and the database that is used is "
            f"another kind: {configuration.shown}",
            meanwhile="nothing was changed",
            remedies=(Remedy("simmate-remote database status", "shows which database is used, and who says so"),),
        )
    if kind == "sqlite":
        _restore_sqlite(Path(configuration.url), path, replace)
    else:
        with client_programs(configuration) as client:
            _restore_postgres(client, path, replace)


def _look_at(path: Path) -> Remedy:
    return Remedy(f"ls -l {shlex.quote(str(path))}", "shows what it is")


# Postgres


def _restore_postgres(client: ClientPrograms, path: Path, replace: bool) -> None:
    version = _run(client, "pg_restore", "--data-only", f"--table={VERSION_TABLE}", "--file=-", str(path))
    if found := re.search(rf"COPY public\.{VERSION_TABLE} .*;\n(\S+)\n", version):
        refuse_newer(found[1], known_versions())
    options = ("--no-psqlrc", "--tuples-only", "--no-align", f"--dbname={client.address}")
    # Also tables that are the user's own: the backup replaces those of its names.
    names = (
        "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    tables = _run(client, "psql", *options, f"--command={names}").splitlines()
    asked = [f"SELECT EXISTS (SELECT FROM {name})" for name in tables if name.rpartition(".")[2] not in NEVER_EMPTY]  # noqa: S608
    if (
        not replace
        and "t" in _run(client, "psql", *options, *(f"--command={each}" for each in asked or ["SELECT"])).split()
    ):
        raise _not_empty(path)
    drops = "".join(f"DROP TABLE IF EXISTS {name} CASCADE;\n" for name in tables if name.startswith(f"public.{OURS}"))
    _execute(client, path, f"{PATIENCE}\n{drops}")


def _execute(client: ClientPrograms, path: Path, first: str) -> None:
    """Execute a backup's statements in one transaction, as they are read: they may be more than memory has room for."""
    reading = ["pg_restore", "--clean", "--if-exists", "--no-owner", "--no-acl", "--file=-", str(path)]
    writing = ["psql", "--no-psqlrc", "--single-transaction", "--set=ON_ERROR_STOP=1", "--quiet"]
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(_Program(client, reading, stdout=subprocess.PIPE))
        writer = stack.enter_context(_Program(client, [*writing, f"--dbname={client.address}"], stdin=subprocess.PIPE))
        statements, taken = reader.process.stdout, writer.process.stdin
        assert statements is not None
        assert taken is not None
        with contextlib.suppress(BrokenPipeError):  # its error is said below
            taken.write(first.encode())
            for line in itertools.islice(statements, HEAD):
                taken.write(INSTEAD.get(line, line))
            shutil.copyfileobj(statements, taken)
            # Nothing is kept before it is told that this is the end, which it is not where the reader has failed.
            reader.check()
            taken.close()
        writer.check()


class _Program:
    """One of Postgres' programs; it is ended with the block, if it has not ended by then."""

    def __init__(
        self, client: ClientPrograms, command: list[str], *, stdin: int | None = None, stdout: int = subprocess.DEVNULL
    ) -> None:
        self._name = command[0]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the block
        self.process = subprocess.Popen(
            [client.folder / self._name, *command[1:]],
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            stderr=self._said,
            env=client.environment,
        )

    def check(self) -> None:
        """Wait for its end.

        Raises:
            BackupError: It failed.
        """
        if self.process.wait() != 0:
            self._said.seek(0)
            raise _failed(self._name, self._said.read().decode(errors="replace"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._said):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def _run(client: ClientPrograms, program: str, *arguments: str) -> str:
    done = subprocess.run(
        [client.folder / program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=client.environment,
        check=False,
    )
    if done.returncode != 0:
        raise _failed(program, done.stderr)
    return done.stdout


def _failed(program: str, said: str) -> BackupError:
    return BackupError(f"{program} failed", meanwhile="the database is as it was", detail=said.strip()[-2000:] or None)


# SQLite


def _copy_sqlite(source: Path, target: Path) -> None:
    if not source.exists():
        raise BackupError(f"there is no database yet: {source}")
    with _opened(source) as one, _opened(target) as two:
        one.backup(two)


def _restore_sqlite(target: Path, path: Path, replace: bool) -> None:
    with _opened(path) as backup_there:
        if _scalar(backup_there, "SELECT count(*) FROM sqlite_master WHERE name = ?", VERSION_TABLE):
            refuse_newer(str(_scalar(backup_there, f"SELECT version_num FROM {VERSION_TABLE}")), known_versions())  # noqa: S608
        with _opened(target) as ours:
            if not replace and _has_rows(ours):
                raise _not_empty(path)
            backup_there.backup(ours)


def _has_rows(connection: sqlite3.Connection) -> bool:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    quoted = ['"' + name.replace('"', '""') + '"' for (name,) in tables if name not in NEVER_EMPTY]
    return any(_scalar(connection, f"SELECT EXISTS (SELECT 1 FROM {name})") for name in quoted)  # noqa: S608


def _scalar(connection: sqlite3.Connection, statement: str, *values: str) -> object:
    return connection.execute(statement, values).fetchone()[0]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise BackupError(f"{path}: {error}") from error


def _not_empty(path: Path) -> BackupError:
    return BackupError(
        "there is something in the database already",
        meanwhile="nothing was changed",
        remedies=(
            Remedy("simmate-remote database backup FILE", "keeps what is there"),
            Remedy(
                f"simmate-remote database restore {shlex.quote(str(path))} --replace", "puts the backup in its place"
            ),
        ),
    )
