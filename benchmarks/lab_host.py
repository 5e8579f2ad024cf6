"""The lab's machine as a host of the inventory, and the end of its session."""

from __future__ import annotations

import asyncio
from typing import Literal, get_args

from simmate_remote.inventory import Host, Workers
from simmate_remote.session.client import find
from tests.lab import Lab

LinkKind = Literal["asyncssh", "openssh"]
LINKS: tuple[LinkKind, ...] = get_args(LinkKind)
_link: LinkKind = "asyncssh"


def use_link(link: LinkKind) -> None:
    """Let all that follows use this kind of link."""
    global _link  # noqa: PLW0603 - one run of the program measures one kind
    _link = link


def lab_host(lab: Lab) -> Host:
    """Describe the lab's machine with two workers."""
    workers = Workers(count=2, threads=1)
    return Host(
        name="lab-box", ssh="lab-box", ssh_config=lab.ssh_config, python=str(lab.python), workers=workers, link=_link
    )


def end_session(host: Host) -> None:
    """End the session of a host, and everything that it has there."""

    async def end() -> None:
        session = await find(host)
        await session.stop(end_everything=True)
        session.close()
        await session.wait_closed()

    asyncio.run(end())
