"""Hosts for tests: an SSH server on loopback that behaves as a lab box does, and pytest fixtures for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simmate_remote.testing.embedded import EmbeddedHost as EmbeddedHost

__all__ = ["EmbeddedHost"]


def __getattr__(name: str) -> Any:
    # The pytest plugin lives here and is loaded by every pytest run: asyncssh must not come with it.
    if name == "EmbeddedHost":
        from simmate_remote.testing.embedded import EmbeddedHost

        return EmbeddedHost
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
