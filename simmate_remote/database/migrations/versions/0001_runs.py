"""Runs, their attempts and corrections, the hosts' journals, and the table of transitions with its trigger.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TRANSITIONS = {
    "queued": ("running", "failed", "cancelled", "lost"),
    "running": ("finished", "failed", "cancelled", "interrupted", "lost"),
    "interrupted": ("running", "failed", "cancelled", "lost"),
    "failed": ("queued",),
    "cancelled": ("queued",),
    "lost": ("interrupted",),
}

POSTGRES = """
CREATE FUNCTION simmate_remote_check_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.state <> 'queued' THEN
      RAISE EXCEPTION 'a run begins as queued, not as %', NEW.state USING ERRCODE = 'check_violation';
    END IF;
  ELSIF NEW.state <> OLD.state AND NOT EXISTS (
    SELECT FROM simmate_remote_transitions WHERE before = OLD.state AND after = NEW.state
  ) THEN
    RAISE EXCEPTION 'a run that is % cannot become %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER simmate_remote_runs_state BEFORE INSERT OR UPDATE OF state ON simmate_remote_runs
  FOR EACH ROW EXECUTE FUNCTION simmate_remote_check_state();
"""

SQLITE = (
    """
    CREATE TRIGGER simmate_remote_runs_first BEFORE INSERT ON simmate_remote_runs WHEN NEW.state <> 'queued'
    BEGIN SELECT RAISE(ABORT, 'a run begins as queued'); END
    """,
    """
    CREATE TRIGGER simmate_remote_runs_state BEFORE UPDATE OF state ON simmate_remote_runs
    WHEN NEW.state <> OLD.state AND NOT EXISTS (
      SELECT 1 FROM simmate_remote_transitions WHERE before = OLD.state AND after = NEW.state
    )
    BEGIN SELECT RAISE(ABORT, 'a run cannot change its state so'); END
    """,
)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "simmate_remote_journals",
        sa.Column("journal", sa.String(64), primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("machine", sa.Text, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("skew", sa.Float(53), nullable=False, server_default="0"),
        sa.Column("collected", sa.Float(53)),
        sa.Column("told", sa.Float(53)),
    )
    transitions = op.create_table(
        "simmate_remote_transitions",
        sa.Column("before", sa.String(16), primary_key=True),
        sa.Column("after", sa.String(16), primary_key=True),
    )
    op.bulk_insert(
        transitions,
        [{"before": before, "after": after} for before, following in TRANSITIONS.items() for after in following],
    )
    op.create_table(
        "simmate_remote_runs",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("journal", sa.String(64), sa.ForeignKey("simmate_remote_journals.journal"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("workflow_version", sa.Text),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("started_by", sa.Text),
        sa.Column("versions", sa.JSON, nullable=False),
        sa.Column("restarted_from", sa.String(36)),
        sa.Column("attempt_limit", sa.Integer),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("started", sa.Float(53)),
        sa.Column("ended", sa.Float(53)),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("worker", sa.Text),
        sa.Column("corrections", sa.Integer, nullable=False, server_default="0"),
        sa.Column("seconds", sa.Float(53)),
        sa.Column("cpu_seconds", sa.Float(53)),
        sa.Column("result", sa.JSON),
        sa.Column("result_pickle", sa.LargeBinary),
        sa.Column("result_size", sa.BigInteger),
        sa.Column("error_type", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("traceback", sa.Text),
        sa.Column("cancel_asked", sa.Float(53)),
    )
    op.create_index("simmate_remote_runs_by_state", "simmate_remote_runs", ["state", "id"])
    op.create_index("simmate_remote_runs_by_workflow", "simmate_remote_runs", ["workflow", "id"])
    op.create_index("simmate_remote_runs_by_journal", "simmate_remote_runs", ["journal", "id"])
    op.create_index("simmate_remote_runs_by_end", "simmate_remote_runs", ["journal", "ended"])
    asked = sa.text("cancel_asked IS NOT NULL")
    op.create_index(
        "simmate_remote_runs_to_cancel", "simmate_remote_runs", ["journal"], postgresql_where=asked, sqlite_where=asked
    )
    op.create_table(
        "simmate_remote_attempts",
        sa.Column("run", sa.String(36), sa.ForeignKey("simmate_remote_runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("began", sa.Float(53)),
        sa.Column("ended", sa.Float(53)),
        sa.Column("how", sa.String(16)),
        sa.Column("reason", sa.Text),
        sa.Column("worker", sa.Text),
        sa.Column("node", sa.Text),
        sa.Column("pid", sa.Integer),
    )
    op.create_table(
        "simmate_remote_corrections",
        sa.Column("run", sa.String(36), sa.ForeignKey("simmate_remote_runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("told", sa.Float(53), primary_key=True),
        sa.Column("attempt", sa.Integer),
        sa.Column("seen", sa.JSON, nullable=False),
        sa.Column("done", sa.JSON, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(POSTGRES)
    else:
        for trigger in SQLITE:
            op.execute(trigger)


def downgrade() -> None:
    """Remove the tables, and all runs in them."""
    for name in ("corrections", "attempts", "runs", "transitions", "journals"):
        op.drop_table(f"simmate_remote_{name}")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION simmate_remote_check_state()")
