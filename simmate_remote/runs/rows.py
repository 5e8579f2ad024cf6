"""The rows of runs, for queries with SQLAlchemy; only the collector writes them, and it does so without SQLAlchemy.

Times are seconds since the epoch by this machine's clock, but for :attr:`Correction.told`. ``database/migrations``
makes the tables.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables of simmate-remote; their names begin with it, since the database may be the user's own."""


class Journal(Base):
    """The record of one host's runs, as far as it has been read.

    Attributes:
        journal: Its random name, made with it.
        host: What the user calls the host; ``here``: the runs that this machine's programs made without a host.
        machine: The host's own name.
        folder: Where the runs' folders are.
        position: Bytes of it that are in the rows.
        skew: Seconds that the host's clock is ahead of ours.
        collected: When it was last read to its end.
        told: The end of the latest run, or attempt that was interrupted, of which a person has been told.
    """

    __tablename__ = "simmate_remote_journals"

    journal: Mapped[str] = mapped_column(String(64), primary_key=True)
    host: Mapped[str] = mapped_column(Text)
    machine: Mapped[str] = mapped_column(Text)
    folder: Mapped[str] = mapped_column(Text)
    position: Mapped[int] = mapped_column(BigInteger, server_default="0")
    skew: Mapped[float] = mapped_column(Float(53), server_default="0")
    collected: Mapped[float | None] = mapped_column(Float(53))
    told: Mapped[float | None] = mapped_column(Float(53))


class Transition(Base):
    """A change of state that is allowed; a trigger refuses every other one."""

    __tablename__ = "simmate_remote_transitions"

    before: Mapped[str] = mapped_column(String(16), primary_key=True)
    after: Mapped[str] = mapped_column(String(16), primary_key=True)


class Run(Base):
    """A run.

    Attributes:
        id: A UUID of version 7: sorted by when they were made.
        journal: Of which host's journal it is.
        state: One of :data:`simmate_remote.runs.states.TRANSITIONS`.
        parameters: As far as JSON can express them.
        attempts: The number of the latest attempt.
        attempt_limit: How many there may be before it counts as failed.
        corrections: How often a handler changed something.
        result: What it returned, if that is small and JSON can express it.
        result_pickle: The same pickled, if that is small.
        result_size: Bytes of the pickled result.
        cancel_asked: When somebody asked to cancel it; it is delivered as soon as the host can be reached.
    """

    __tablename__ = "simmate_remote_runs"
    __table_args__ = (
        Index("simmate_remote_runs_by_state", "state", "id"),
        Index("simmate_remote_runs_by_workflow", "workflow", "id"),
        Index("simmate_remote_runs_by_journal", "journal", "id"),
        Index("simmate_remote_runs_by_end", "journal", "ended"),
        Index(
            "simmate_remote_runs_to_cancel",
            "journal",
            postgresql_where=text("cancel_asked IS NOT NULL"),
            sqlite_where=text("cancel_asked IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    journal: Mapped[str] = mapped_column(ForeignKey(Journal.journal))
    state: Mapped[str] = mapped_column(String(16))
    workflow: Mapped[str] = mapped_column(Text)
    workflow_version: Mapped[str | None] = mapped_column(Text)
    parameters: Mapped[Any] = mapped_column(JSON)
    folder: Mapped[str] = mapped_column(Text)
    started_by: Mapped[str | None] = mapped_column(Text)
    versions: Mapped[Any] = mapped_column(JSON)
    restarted_from: Mapped[str | None] = mapped_column(String(36))
    attempt_limit: Mapped[int | None]
    created: Mapped[float] = mapped_column(Float(53))
    started: Mapped[float | None] = mapped_column(Float(53))
    ended: Mapped[float | None] = mapped_column(Float(53))
    attempts: Mapped[int] = mapped_column(server_default="0")
    worker: Mapped[str | None] = mapped_column(Text)
    corrections: Mapped[int] = mapped_column(server_default="0")
    seconds: Mapped[float | None] = mapped_column(Float(53))
    cpu_seconds: Mapped[float | None] = mapped_column(Float(53))
    result: Mapped[Any] = mapped_column(JSON, nullable=True)
    result_pickle: Mapped[bytes | None] = mapped_column(LargeBinary)
    result_size: Mapped[int | None] = mapped_column(BigInteger)
    error_type: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    traceback: Mapped[str | None] = mapped_column(Text)
    cancel_asked: Mapped[float | None] = mapped_column(Float(53))


class Attempt(Base):
    """One try of a run.

    Attributes:
        how: ``finished``, ``failed``, ``cancelled`` or ``interrupted``; None while it goes on.
        reason: Why it was interrupted.
    """

    __tablename__ = "simmate_remote_attempts"
    __table_args__ = (
        Index(
            "simmate_remote_attempts_interrupted",
            "ended",
            postgresql_where=text("how = 'interrupted'"),
            sqlite_where=text("how = 'interrupted'"),
        ),
    )

    run: Mapped[str] = mapped_column(ForeignKey(Run.id, ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    began: Mapped[float | None] = mapped_column(Float(53))
    ended: Mapped[float | None] = mapped_column(Float(53))
    how: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(Text)
    worker: Mapped[str | None] = mapped_column(Text)
    node: Mapped[str | None] = mapped_column(Text)
    pid: Mapped[int | None]


class Correction(Base):
    """What a handler saw in a run, and did about it.

    Attributes:
        told: When, by the host's clock, as its journal has it; so the same line is never counted twice.
        seen: What was wrong.
        done: What was changed.
    """

    __tablename__ = "simmate_remote_corrections"

    run: Mapped[str] = mapped_column(ForeignKey(Run.id, ondelete="CASCADE"), primary_key=True)
    told: Mapped[float] = mapped_column(Float(53), primary_key=True)
    attempt: Mapped[int | None]
    seen: Mapped[Any] = mapped_column(JSON)
    done: Mapped[Any] = mapped_column(JSON)
