"""One module for each thing that reads what a hostile end sends.

Each has ``check(data)``, which raises for an input that does harm, and ``seeds()``, inputs to begin with.
"""

from __future__ import annotations

import importlib
from typing import Protocol, cast

NAMES = ("frames", "multiplexer", "conversation", "handshake", "calls", "dialogue", "http_heads", "ssh_files")


class Target(Protocol):
    """What each module here offers."""

    def check(self, data: bytes) -> None:
        """Play an input; raise if it does harm."""

    def seeds(self) -> list[bytes]:
        """Give inputs to begin with."""


def load(name: str) -> Target:
    """Import one of the modules."""
    return cast(Target, importlib.import_module(f"fuzz.targets.{name}"))
