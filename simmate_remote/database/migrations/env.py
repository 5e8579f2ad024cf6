"""Alembic's surroundings: :func:`simmate_remote.database.schema.upgrade` gives the connection, in a transaction."""

from __future__ import annotations

from alembic import context

from simmate_remote.database.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    # SQLite cannot alter a table in place; Alembic then copies it.
    render_as_batch=True,
)
context.run_migrations()
