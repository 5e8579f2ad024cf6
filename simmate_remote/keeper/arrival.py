"""Arriving at a host: one command there finds a Python, tells what it found, and takes our package if it is missing."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from simmate_remote.keeper.dialogue import Dialogue
from simmate_remote.keeper.package import own_package
from simmate_remote.keeper.shell_command import shell_command
from simmate_remote.link.base import Link


@dataclass(frozen=True)
class Found:
    """What the host's Python told before anything was started there.

    Args:
        python: Version of the host's Python.
        executable: Its path.
        hostname: What the machine calls itself.
        versions: Versions of the distributions that were asked for; None: not installed.
    """

    python: tuple[int, int, int]
    executable: str
    hostname: str
    versions: dict[str, str | None]


@dataclass(frozen=True)
class Called:
    """A command on the host that waits for our first code.

    Args:
        transport: Its stdin and stdout.
        dialogue: What listens to it.
        nonce: What each of its words begins with.
    """

    transport: asyncio.Transport
    dialogue: Dialogue
    nonce: str


async def call(link: Link, *, folder: str, python: str | None) -> Called:
    """Open the command that finds a Python on a host.

    Args:
        link: The login.
        folder: Our folder on the host; ``~`` is the home there.
        python: An interpreter, or an environment's folder, on the host; None: look for one that fits.

    Raises:
        ForbiddenByServerError: The server runs no command for us.
        LinkLostError: The link was lost meanwhile.
    """
    nonce = secrets.token_hex(16)
    transport, dialogue = await link.open_command(
        shell_command(python, folder, nonce), lambda: Dialogue(link.destination, nonce, python or "python3")
    )
    return Called(transport, dialogue, nonce)


async def arrive(
    link: Link,
    words: dict[str, Any],
    *,
    folder: str,
    python: str | None,
    distributions: tuple[str, ...] = (),
    check: Callable[[Found], None] = lambda _: None,
    calling: Awaitable[Called] | None = None,
) -> tuple[asyncio.Transport, Dialogue, Found]:
    """Run our first code on a host, and let it have our package.

    Args:
        link: The login.
        words: What it shall do next, for :mod:`simmate_remote.keeper.host.bootstrap`.
        folder: Our folder on the host; ``~`` is the home there.
        python: An interpreter, or an environment's folder, on the host; None: look for one that fits.
        distributions: Names of the distributions whose versions the host shall tell.
        check: Called with what it told, before anything is started there; may raise.
        calling: The command for it, if it was begun before.

    Returns:
        The command's stdin and stdout, the dialogue that listens to it, and what was found.

    Raises:
        RemotePythonError: No Python there, or one that is too old.
        ForbiddenByServerError: The server runs no command for us.
        KeeperError: Our part there failed; with its own words.
        LinkLostError: The link was lost meanwhile.
    """
    # Neither needs the other.
    reading = asyncio.create_task(asyncio.to_thread(own_package))
    called = await (calling or call(link, folder=folder, python=python))
    transport, dialogue = called.transport, called.dialogue
    try:
        package = await reading
        code = package.content("keeper/host/bootstrap.py")
        request = {
            "nonce": called.nonce,
            "folder": folder,
            "package": package.name,
            "distributions": distributions,
            **words,
        }
        transport.write(b"%d\n" % len(code) + code + json.dumps(request).encode() + b"\n")
        told = await dialogue.hear("bootstrap")
        with dialogue.understanding():
            found = _found(told)
            check(found)
        if told["package"]:
            transport.write(b"go\n")
        else:
            content = package.zipped_for_errand(words["errand"]) if "errand" in words else package.zipped()
            transport.write(b"package %d\n" % len(content) + content)
    except BaseException:
        transport.abort()
        raise
    return transport, dialogue, found


def _found(told: dict[str, Any]) -> Found:
    major, minor, micro = map(int, told["python"])
    versions = {str(name): None if version is None else str(version) for name, version in told["versions"].items()}
    return Found((major, minor, micro), str(told["executable"]), str(told["hostname"]), versions)
