"""The collector's statements; each column with how its value is prepared for it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from simmate_remote.runs.columns import as_json, as_json_or_null, as_number, as_text, as_whole

Prepare = Callable[[Any], Any]


def _as_bytes(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value)
    except (binascii.Error, TypeError, ValueError):
        return None


def _as_count(value: Any) -> int:
    return as_whole(value) or 0


FIXED: dict[str, Prepare] = {
    "id": as_text,
    "workflow": as_text,
    "workflow_version": as_text,
    "folder": as_text,
    "started_by": as_text,
    "versions": as_json,
    "restarted_from": as_text,
    "attempt_limit": as_whole,
    "created": as_number,
}
"""Columns of a run that its first line gives."""

OUTCOME: dict[str, Prepare] = {
    "seconds": as_number,
    "cpu_seconds": as_number,
    "result": as_json_or_null,
    "result_pickle": _as_bytes,
    "result_size": as_whole,
    "error_type": as_text,
    "error": as_text,
    "traceback": as_text,
}
"""Columns of a run that its end gives."""

CHANGING: dict[str, Prepare] = {
    "journal": as_text,
    "state": as_text,
    "parameters": as_json,
    "started": as_number,
    "ended": as_number,
    "attempts": _as_count,
    "worker": as_text,
    "corrections": _as_count,
    **OUTCOME,
}
"""Columns of a run that change."""

ATTEMPT: dict[str, Prepare] = {
    "run": as_text,
    "attempt": as_whole,
    "began": as_number,
    "ended": as_number,
    "how": as_text,
    "reason": as_text,
    "worker": as_text,
    "node": as_text,
    "pid": as_whole,
}

CORRECTION: dict[str, Prepare] = {
    "run": as_text,
    "told": as_number,
    "attempt": as_whole,
    "seen": as_json,
    "done": as_json,
}

JSON_COLUMNS = ("parameters", "versions", "result", "seen", "done")


def prepared(columns: Mapping[str, Prepare], values: Mapping[str, Any]) -> dict[str, Any]:
    """Prepare the values of these columns."""
    return {name: prepare(values.get(name)) for name, prepare in columns.items()}


def selected(columns: Iterable[str]) -> str:
    """Name columns in a query, JSON as its text: drivers differ in what else they make of it."""
    return ", ".join(f"CAST({name} AS text)" if name in JSON_COLUMNS else name for name in columns)


def insert(table: str, columns: Iterable[str], conflict: str) -> str:
    """Compose an insertion."""
    names = list(columns)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)}) {conflict}"


_FIRST = {**FIXED, **CHANGING}
INSERT_RUN = insert("simmate_remote_runs", _FIRST, "ON CONFLICT DO NOTHING")
UPDATE_RUN = f"UPDATE simmate_remote_runs SET {', '.join(f'{name} = :{name}' for name in CHANGING)} WHERE id = :id"
PUT_ATTEMPT = insert(
    "simmate_remote_attempts",
    ATTEMPT,
    "ON CONFLICT (run, attempt) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in ATTEMPT if name not in ("run", "attempt")),
)
WITHDRAW_CANCEL = "UPDATE simmate_remote_runs SET cancel_asked = NULL WHERE id = :run AND cancel_asked IS NOT NULL"
ADD_CORRECTION = insert("simmate_remote_corrections", CORRECTION, "ON CONFLICT DO NOTHING")
