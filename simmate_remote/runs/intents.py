"""What a person wants of a run whose host cannot be reached now: kept in its row until the host has been told."""

from __future__ import annotations

from simmate_remote.database.plain import Plain
from simmate_remote.runs.states import ENDED


def ask_to_cancel(plain: Plain, runs: list[str], now: float) -> dict[str, str]:
    """Take note that runs shall be cancelled, and give the state of those that have ended before.

    Args:
        plain: The database.
        runs: Their ids.
        now: The time now.
    """
    ended = ", ".join(f"'{state}'" for state in ENDED)
    found: dict[str, str] = {}
    with plain.transaction():
        for run in runs:
            values = {"run": run, "now": now}
            changed = plain.change(
                "UPDATE simmate_remote_runs SET cancel_asked = COALESCE(cancel_asked, :now)"
                f" WHERE id = :run AND state NOT IN ({ended})",
                values,
            )
            if not changed and (row := plain.row("SELECT state FROM simmate_remote_runs WHERE id = :run", values)):
                found[run] = row[0]
    return found


def forget(plain: Plain, run: str) -> None:
    """Remove the rows of a run that is lost; nothing of it is anywhere else."""
    with plain.transaction():
        for table in ("corrections", "attempts"):
            plain.change(f"DELETE FROM simmate_remote_{table} WHERE run = :run", {"run": run})
        plain.change("DELETE FROM simmate_remote_runs WHERE id = :run AND state = 'lost'", {"run": run})
