"""Attempts that were interrupted are found by when that was, without reading all others: every list asks for them.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INDEX = "simmate_remote_attempts_interrupted"


def upgrade() -> None:
    """Make the index."""
    interrupted = sa.text("how = 'interrupted'")
    op.create_index(INDEX, "simmate_remote_attempts", ["ended"], postgresql_where=interrupted, sqlite_where=interrupted)


def downgrade() -> None:
    """Remove it."""
    op.drop_index(INDEX, "simmate_remote_attempts")
