"""One SSH login at a host, and carriers (byte pipes) over it."""

from __future__ import annotations

from simmate_remote.link.base import Ask, Destination, Link, LinkReport, Prompt

__all__ = ["Ask", "Destination", "Link", "LinkReport", "Prompt", "connect"]


async def connect(destination: Destination, ask: Ask | None = None) -> Link:
    """Log in to a host by the kind of link that the destination names, over its jump hosts if it has any.

    Args:
        destination: The host, and how patient to be.
        ask: Answers the questions that only a person can answer; without it, nobody can be asked.

    Raises:
        LinkError: One of its subclasses for each way to fail; nothing is left open then.
    """
    # Here and not above: asyncssh takes a quarter of a second to import, and only one of the two needs it.
    if destination.link == "openssh":
        from simmate_remote.link.openssh_link import OpenSSHLink

        return await OpenSSHLink.connect(destination, ask)
    from simmate_remote.link import asyncssh_link

    return await asyncssh_link.connect(destination, ask)
