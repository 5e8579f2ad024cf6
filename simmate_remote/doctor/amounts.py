"""Amounts as people read them."""

from __future__ import annotations


def in_bytes(size: float) -> str:
    """Write an amount of bytes, as in ``3.2 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
