"""Arriving at a host: one command there finds a Python, tells what it found, and takes our package if it is missing."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simmate_remote.keeper.dialogue import Dialogue
from simmate_remote.keeper.package import Package, own_package
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
class Wish:
    """What our first code on a host shall do.

    Args:
        folder: Our folder there; ``~`` is the home there.
        python: An interpreter, or an environment's folder, there; None: look for one that fits.
        words: What comes next, for :mod:`simmate_remote.keeper.host.bootstrap`.
        distributions: Names of the distributions whose versions the host shall tell.
    """

    folder: str
    python: str | None
    words: dict[str, Any]
    distributions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Called:
    """A command on the host that runs our first code; before it starts anything, it waits for our consent.

    Args:
        transport: Its stdin and stdout.
        dialogue: What listens to it.
        wish: What it was asked for.
        package: Ours, which it may lack.
    """

    transport: asyncio.Transport
    dialogue: Dialogue
    wish: Wish
    package: Package


async def call(link: Link, wish: Wish) -> Called:
    """Open the command that finds a Python on a host, and send it our first code.

    Args:
        link: The login.
        wish: What it shall do.

    Raises:
        ForbiddenByServerError: The server runs no command for us.
        LinkLostError: The link was lost meanwhile.
    """
    # Neither needs the other.
    reading = asyncio.create_task(asyncio.to_thread(own_package))
    nonce = secrets.token_hex(16)
    transport, dialogue = await link.open_command(
        shell_command(wish.python, wish.folder, nonce),
        lambda: Dialogue(link.destination, nonce, wish.python or "python3"),
    )
    try:
        package = await reading
    except BaseException:
        transport.abort()
        raise
    code = package.content("keeper/host/bootstrap.py")
    request = {
        "nonce": nonce,
        "folder": wish.folder,
        "package": package.name,
        "distributions": wish.distributions,
        **wish.words,
    }
    transport.write(b"%d\n" % len(code) + code + json.dumps(request).encode() + b"\n")
    return Called(transport, dialogue, wish, package)


async def arrive(called: Called, check: Callable[[Found], None] = lambda _: None) -> Found:
    """Hear what our first code found on a host, and let it go on, with our package if it is missing there.

    Args:
        called: The command.
        check: Called with what was found, before anything is started there; may raise.

    Raises:
        RemotePythonError: No Python there, or one that is too old.
        ForbiddenByServerError: The server runs no command for us.
        KeeperError: Our part there failed; with its own words.
        LinkLostError: The link was lost meanwhile.
    """
    transport, words = called.transport, called.wish.words
    try:
        told = await called.dialogue.hear("bootstrap")
        with called.dialogue.understanding():
            found = _found(told)
            check(found)
        if told["package"]:
            transport.write(b"go\n")
        else:
            package = called.package
            content = package.zipped_for_errand(words["errand"]) if "errand" in words else package.zipped()
            transport.write(b"package %d\n" % len(content) + content)
    except BaseException:
        transport.abort()
        raise
    return found


def _found(told: dict[str, Any]) -> Found:
    major, minor, micro = map(int, told["python"])
    versions = {str(name): None if version is None else str(version) for name, version in told["versions"].items()}
    return Found((major, minor, micro), str(told["executable"]), str(told["hostname"]), versions)
