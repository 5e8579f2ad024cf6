"""Which part of a value it is that cannot be pickled, by the path that leads there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cloudpickle

_DEEPEST = 20


def find_unsendable(values: dict[str, Any]) -> str | None:
    """Describe the innermost part of some parameters that cannot be pickled.

    Args:
        values: By name.

    Returns:
        Such as ``settings.callbacks[2] is a lock``; None if each by itself can be pickled.
    """
    for name, value in values.items():
        if not _can_be_pickled(value):
            path, culprit = _descend(name, value, 0)
            return f"{path} is a {type(culprit).__module__}.{type(culprit).__qualname__}, which cannot be pickled"
    return None


def _descend(path: str, value: Any, depth: int) -> tuple[str, Any]:
    if depth < _DEEPEST:
        for step, part in _parts(value):
            if not _can_be_pickled(part):
                return _descend(f"{path}{step}", part, depth + 1)
    return path, value


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"[{key!r}]", part
    elif isinstance(value, list | tuple | set | frozenset):
        for number, part in enumerate(value):
            yield f"[{number}]", part
    else:
        for name, part in getattr(value, "__dict__", {}).items():
            yield f".{name}", part
        for cls in type(value).__mro__:
            slots = getattr(cls, "__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, name):
                    yield f".{name}", getattr(value, name)


def _can_be_pickled(value: Any) -> bool:
    try:
        cloudpickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever a class of the user raises there, it cannot be sent
        return False
    return True
