"""What a process of a host is told of the database, and what it says where something is missing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simmate_remote import database
from simmate_remote.database import lent, pool
from simmate_remote.database.lent import Lent
from simmate_remote.errors import DatabasePackagesError, DatabaseUnreachableError, LinkLostError, error_to_dict


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {name: os.environ[name] for name in ("HOME", "PATH")})


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "database"
    place.mkdir()
    write(place, {"parameters": {"user": "me", "dbname": "runs"}})
    (place / "pgpass").touch()
    return place


def write(place: Path, said: object) -> None:
    (place / "address.json").write_text(json.dumps(said))


def test_libpq_finds_it(folder: Path) -> None:
    lent.set_variables(folder, 5.0)
    found = {name: value for name, value in os.environ.items() if name.startswith("PG")}
    assert found == {
        "PGHOST": str(folder),
        "PGUSER": "me",
        "PGDATABASE": "runs",
        "PGPASSFILE": str(folder / "pgpass"),
    }
    assert lent.of_this_process() == Lent(folder, 5.0)


def test_simmate_finds_it_where_it_is_installed(
    folder: Path, user_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "simmate").mkdir()
    (tmp_path / "simmate/__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    lent.set_variables(folder, 5.0)
    assert {name: value for name, value in os.environ.items() if name.startswith("SIMMATE__")} == {
        "SIMMATE__DATABASE__ENGINE": "django.db.backends.postgresql",
        "SIMMATE__DATABASE__HOST": str(folder),
        "SIMMATE__DATABASE__USER": "me",
        "SIMMATE__DATABASE__NAME": "runs",
    }
    os.environ = {"HOME": str(user_folders / "home")}  # noqa: B003 - the fixture's
    (user_folders / "home/simmate").mkdir()
    (user_folders / "home/simmate/settings.yaml").touch()
    lent.set_variables(folder, 5.0)
    assert not [name for name in os.environ if name.startswith("SIMMATE__")]


def test_why_there_is_none_is_said(folder: Path) -> None:
    write(folder, {"refused": error_to_dict(LinkLostError("no database today"))})
    with pytest.raises(LinkLostError, match="no database today"):
        lent.connect(Lent(folder, 100.0))


def test_a_session_that_does_not_come_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachableError, match="no session lends it"):
        lent.connect(Lent(tmp_path, 0.2))


@pytest.mark.parametrize("missing", ["sqlalchemy", "psycopg"])
def test_a_python_that_lacks_something_says_what(folder: Path, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lent.set_variables(folder, 1.0)
    pool._engine.cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(DatabasePackagesError, match="(?i)" + missing):
        database.engine.connect()
    pool._engine.cache_clear()
