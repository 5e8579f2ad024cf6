"""Values as columns take them, whatever a program put into them."""

from __future__ import annotations

import json
import math
from typing import Any


def as_text(value: Any) -> str | None:
    """Give a text that every database takes: no NUL, and no half of a surrogate pair."""
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def as_json(value: Any) -> str:
    """Give a value as JSON; a number that JSON cannot express is null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def as_json_or_null(value: Any) -> str | None:
    """Give a value as JSON, and None as no value."""
    return None if value is None else as_json(value)


def as_number(value: Any) -> float | None:
    """Give a finite number; None for everything else."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def as_whole(value: Any) -> int | None:
    """Give a whole number; None for everything else."""
    return value if isinstance(value, int) else None


def from_json(text: str | None) -> Any:
    """Read what :func:`as_json` gave."""
    return None if text is None else json.loads(text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return value
