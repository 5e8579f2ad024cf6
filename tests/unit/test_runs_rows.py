"""The tables: what SQLAlchemy's models say is what the migrations make, and newer tables are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from simmate_remote.database.plain import open_plain
from simmate_remote.database.pool import make_engine
from simmate_remote.errors import DatabaseNewerError
from simmate_remote.runs.rows import Base
from simmate_remote.runs.states import TRANSITIONS
from tests.unit.run_rows import configuration, database_kinds, made


@pytest.mark.parametrize("kind", database_kinds())
def test_the_models_are_what_the_migrations_make(kind: str, tmp_path: Path) -> None:
    with made(kind, tmp_path):
        engine = make_engine(configuration(kind, tmp_path))
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert [
                each for each in compare_metadata(context, Base.metadata) if "simmate_remote_version" not in str(each)
            ] == []
        engine.dispose()


@pytest.mark.parametrize("kind", database_kinds())
def test_the_table_of_transitions_is_that_of_the_program(kind: str, tmp_path: Path) -> None:
    with made(kind, tmp_path) as plain:
        rows = plain.rows("SELECT before, after FROM simmate_remote_transitions")
    assert sorted(rows) == sorted((before, after) for before, following in TRANSITIONS.items() for after in following)


def test_tables_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    with made("sqlite", tmp_path) as plain:
        plain.change("UPDATE simmate_remote_version SET version_num = '9999'")
        with pytest.raises(DatabaseNewerError, match="9999"):
            open_plain(configuration("sqlite", tmp_path))
        assert plain.row("SELECT version_num FROM simmate_remote_version") == ("9999",)
