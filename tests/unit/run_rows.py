"""Databases with the tables of runs, for tests."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs

from simmate_remote.database.configuration import Configuration
from simmate_remote.database.plain import Plain, open_plain

TABLES = {"runs": "id", "attempts": "run, attempt", "corrections": "run, told"}


def database_kinds() -> list[str]:
    """Give the kinds of database to test with."""
    return ["sqlite", "postgresql"] if "TEST_POSTGRES" in os.environ else ["sqlite"]


@contextlib.contextmanager
def made(kind: str, folder: Path) -> Iterator[Plain]:
    """Give a database with our tables, and nothing in them."""
    if kind == "sqlite":
        shutil.copy(_empty_sqlite(), folder / "rows.sqlite")
    plain = open_plain(configuration(url_of(kind, folder)))
    if kind == "postgresql":
        for name in ("corrections", "attempts", "runs", "journals"):
            plain.change(f"DELETE FROM simmate_remote_{name}")
    try:
        yield plain
    finally:
        plain.close()


def url_of(kind: str, folder: Path) -> str:
    """Give the address of what :func:`made` makes."""
    return f"sqlite:///{folder}/rows.sqlite" if kind == "sqlite" else os.environ["TEST_POSTGRES"]


def configuration(url: str) -> Configuration:
    """Say that this database is used."""
    kind = "sqlite" if url.startswith("sqlite") else "postgresql"
    place = url.removeprefix("sqlite:///") if kind == "sqlite" else url
    folder = platformdirs.user_data_path("simmate-remote") / "database"
    return Configuration(kind, place, "here", None, 300.0, "a test", folder)  # type: ignore[arg-type]


@functools.cache
def _empty_sqlite() -> Path:
    path = Path(tempfile.mkdtemp()) / "empty.sqlite"
    atexit.register(shutil.rmtree, path.parent)
    open_plain(configuration(f"sqlite:///{path}")).close()
    return path


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
