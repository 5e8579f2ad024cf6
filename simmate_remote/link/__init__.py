"""One SSH login at a host, and carriers (byte pipes) over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simmate_remote.link.base import Ask, Destination, Link, LinkReport, Prompt

if TYPE_CHECKING:
    from simmate_remote.link.asyncssh_link import connect

__all__ = ["Ask", "Destination", "Link", "LinkReport", "Prompt", "connect"]


def __getattr__(name: str) -> Any:
    # asyncssh takes a quarter of a second to import: whoever only names a Destination does not pay for it.
    if name == "connect":
        from simmate_remote.link.asyncssh_link import connect

        return connect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
