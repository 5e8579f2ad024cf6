"""One SSH login at a host, and carriers (byte pipes) over it."""

from __future__ import annotations

import asyncio
from typing import Literal

from simmate_remote.link.base import Ask, Destination, Link, LinkReport, Prompt

__all__ = ["Ask", "Destination", "Link", "LinkReport", "Prompt", "connect", "import_kind"]


async def connect(destination: Destination, ask: Ask | None = None) -> Link:
    """Log in to a host by the kind of link that the destination names, over its jump hosts if it has any.

    Args:
        destination: The host, and how patient to be.
        ask: Answers the questions that only a person can answer; without it, nobody can be asked.

    Raises:
        LinkError: One of its subclasses for each way to fail; nothing is left open then.
    """
    from simmate_remote.link.route import find_route

    # What is imported takes longer than what ``ssh`` is asked, and neither needs the other.
    importing = asyncio.create_task(asyncio.to_thread(import_kind, destination.link))
    dialled = None
    try:
        way = await find_route(destination)
        if destination.link == "openssh":
            await importing
            from simmate_remote.link.openssh_link import OpenSSHLink

            return await OpenSSHLink.connect(way, ask)
        from simmate_remote.link.dial import Dialled

        dialled = None if way[0].settings.value("proxycommand") else Dialled(way[0])
        await importing
        from simmate_remote.link.asyncssh_link import AsyncSSHLink

        return await AsyncSSHLink.connect(way, ask, dialled)
    finally:
        await asyncio.wait({importing})
        if dialled is not None:
            await dialled.close()


def import_kind(kind: Literal["asyncssh", "openssh"]) -> None:
    """Import what a kind of link needs, for which :func:`connect` would wait: asyncssh takes an eighth of a second.

    It may be called ahead, in a thread; part of the time goes by while programs look for libraries.
    """
    if kind == "openssh":
        from simmate_remote.link import openssh_link  # noqa: F401
    else:
        from simmate_remote.link.libraries import only_installed_libraries

        with only_installed_libraries():
            from simmate_remote.link import asyncssh_link  # noqa: F401
