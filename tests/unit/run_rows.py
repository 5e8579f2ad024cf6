"""Databases with the tables of runs, for tests."""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.database.configuration import Configuration
from simmate_remote.database.connecting import connect
from simmate_remote.database.plain import Plain, open_plain
from tests.databases import end_database

TABLES = {"runs": "id", "attempts": "run, attempt", "corrections": "run, told"}


def database_kinds() -> list[str]:
    """Give the kinds of database to test with."""
    return ["sqlite", "postgresql"]


@contextlib.contextmanager
def made(kind: str, folder: Path) -> Iterator[Plain]:
    """Give a database with our tables, and nothing in them."""
    if kind == "sqlite":
        shutil.copy(_empty_sqlite(), folder / "rows.sqlite")
    plain = open_plain(configuration(kind, folder))
    if kind == "postgresql":
        for name in ("corrections", "attempts", "runs", "journals"):
            plain.change(f"DELETE FROM simmate_remote_{name}")
    try:
        yield plain
    finally:
        plain.close()


def configuration(kind: str, folder: Path) -> Configuration:
    """Say that the database is used that :func:`made` makes."""
    if kind == "sqlite":
        return Configuration("sqlite", str(folder / "rows.sqlite"), "here", None, 300.0, "a test", folder)
    return Configuration("embedded", "", "here", None, 300.0, "a test", _postgres())


@functools.cache
def _empty_sqlite() -> Path:
    folder = _folder_of_all_tests()
    open_plain(configuration("sqlite", folder)).close()
    return folder / "rows.sqlite"


@functools.cache
def _postgres() -> Path:
    """Give the folder of a server for all tests of this process: each of its own would start for a second."""
    folder = _folder_of_all_tests() / "simmate-remote" / "database"
    atexit.register(end_database, folder.parents[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("XDG_RUNTIME_DIR")  # it is the test's that comes first
        connect(Configuration("embedded", "", "here", None, 300.0, "a test", folder)).close()
    return folder


@functools.cache
def _folder_of_all_tests() -> Path:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    return folder


def everything(plain: Plain) -> dict[str, list[Any]]:
    """Give all rows of runs, attempts and corrections, in order."""
    found: dict[str, list[Any]] = {}
    for name, order in TABLES.items():
        rows = plain.rows(f"SELECT * FROM simmate_remote_{name} ORDER BY {order}")
        found[name] = [tuple(map(_comparable, row)) for row in rows]
    names = plain._execute("SELECT * FROM simmate_remote_runs", None).description
    return {**found, "columns": [[each[0] for each in names]]}


def _comparable(value: Any) -> Any:
    return repr(value) if isinstance(value, dict | list) else value
