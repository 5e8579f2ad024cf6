"""``push`` and ``pull`` from this side: an errand for the other end, a thread for ours."""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from simmate_remote.errors import (
    FilesError,
    NoSpaceError,
    Remedy,
    SimmateRemoteError,
    SourceError,
    TargetFolderError,
    TransferBrokenError,
)
from simmate_remote.files.connection import NearEnd, blocking_socket, hang_up
from simmate_remote.files.host.frames import FrameReader, FrameWriter
from simmate_remote.files.host.order import Order, Tally
from simmate_remote.files.host.program import take_part, write_order
from simmate_remote.files.host.sources import find_sources
from simmate_remote.inventory.models import Host
from simmate_remote.link import Ask
from simmate_remote.session.errand import errand
from simmate_remote.session.order import SessionOrder
from simmate_remote.session.paths import owner_of

MODULE = "simmate_remote.files.host.program"
TICK = 0.1
LONGEST_DETAIL = 2000

USUAL_TO = {"push": "~", "pull": "."}
"""Where it goes if nothing is said."""


@dataclass(frozen=True)
class Outcome:
    """What a transfer did.

    Args:
        order: What was asked for.
        tally: What was done.
        seconds: How long it took, from the moment when the other end was there.
    """

    order: Order
    tally: Tally
    seconds: float


async def transfer(
    host: Host,
    order: Order,
    *,
    ask: Ask | None = None,
    step: Callable[[str], None] = lambda _: None,
    watch: Callable[[Tally], None] = lambda _: None,
) -> Outcome:
    """Copy files to a host, or from it, over its session if there is one and else by a login of its own.

    Cancelling it leaves what has begun where it is, to be gone on with.

    Args:
        host: The host.
        order: What to copy, and where to.
        ask: Answers the questions of a login; without it, what needs a person fails.
        step: Told what is being done.
        watch: Shown every 0.1 s what was done so far.

    Raises:
        FilesError: It could not be done, or no further; single files that could not be copied are in the tally.
        SimmateRemoteError: The host could not be reached.
    """
    tally = Tally()
    if order.direction == "push":
        _find_all(order)
    async with errand(host, MODULE, NearEnd, ask=ask, step=step) as (transport, near):
        began = time.monotonic()
        async with blocking_socket(transport, near) as sock:
            working = asyncio.create_task(asyncio.to_thread(_take_part, order, sock, tally))
            try:
                while not (await asyncio.wait({working}, timeout=TICK))[0]:
                    watch(tally)
                await working
            except (EOFError, OSError, SimmateRemoteError) as error:
                raise _explained(error, host, order, transport, near) from error
            finally:
                tally.given_up = True
                hang_up(sock)
                await asyncio.gather(working, return_exceptions=True)
    return Outcome(order, tally, time.monotonic() - began)


def _find_all(order: Order) -> None:
    """Look for what is to be sent before a login asks for a password in vain."""
    try:
        find_sources(order.paths, expand=False, report=lambda _: None)
    except SourceError as error:
        error.remedies = (_look_here(error, order),)
        raise


def _take_part(order: Order, sock: socket.socket, tally: Tally) -> None:
    reader, writer = FrameReader(sock.recv_into), FrameWriter(sock.sendmsg)
    write_order(order, writer)
    take_part(
        order, "sender" if order.direction == "push" else "receiver", reader, writer, tally, partial(hang_up, sock)
    )


def _explained(
    error: Exception, host: Host, order: Order, transport: asyncio.Transport, near: NearEnd
) -> SimmateRemoteError:
    """Say of an error where it happened, and what to do."""
    if isinstance(error, FilesError):
        at_sender = isinstance(error, SourceError)
        if at_sender == (order.direction == "push"):
            error.remedies = (_look_here(error, order),)
        else:
            error.host = host.name
            error.remedies = (_look_there(error, host, order),)
            home = os.path.expanduser("~")
            if isinstance(error, TargetFolderError) and order.to.startswith(f"{home}/"):
                meant = order._replace(to=f"~{order.to.removeprefix(home)}")
                error.remedies = (_again(host, meant, "in quotes `~` is the home there"), *error.remedies)
        return error
    if isinstance(error, SimmateRemoteError):
        error.host = host.name
        return error
    remedies = [_again(host, order, "goes on from there")]
    if transport.get_extra_info("socket") is not None:
        remedies.append(Remedy(f"simmate-remote logs {host.name} --name errands", "has what the other end wrote"))
    reasons = [str(error)] if isinstance(error, OSError) else []
    if isinstance(near.reason, SimmateRemoteError):
        reasons += [near.reason.what, near.reason.detail or ""]
    reasons.append(bytes(transport.get_extra_info("stderr") or b"").decode(errors="replace").strip())
    return TransferBrokenError(
        "the connection ended in the middle of copying",
        host=host.name,
        meanwhile="what is complete stays, and what has begun is kept",
        remedies=tuple(remedies),
        detail="\n".join(filter(None, reasons))[-LONGEST_DETAIL:] or None,
    )


def _again(host: Host, order: Order, why: str) -> Remedy:
    again = _arguments(order)
    if len(again) > LONGEST_DETAIL:
        again, why = "--help", f"what was typed before, typed again, {why}"
    if order.direction == "push":
        return Remedy(f"simmate-remote push {shlex.quote(host.name)} {again}", why)
    return Remedy(f"simmate-remote pull {shlex.quote(host.name)} {again}", why)


def _arguments(order: Order) -> str:
    """Give what asks for the same transfer, after the host's name."""
    options = [] if order.to == USUAL_TO[order.direction] else ["--to", order.to]
    options += ["--dry-run"] * order.dry_run + ["--checksum"] * order.checksum
    return shlex.join([*options, *(["--"] if any(path.startswith("-") for path in order.paths) else []), *order.paths])


def _look_here(error: FilesError, order: Order) -> Remedy:
    if isinstance(error, SourceError):
        return Remedy("ls -l", "shows what is here")
    place = shlex.quote(order.to or ".")
    if isinstance(error, NoSpaceError):
        return Remedy(f"df -h {place}", "shows what is left")
    return Remedy(f"ls -ld {place}", "shows whose it is")


def _look_there(error: FilesError, host: Host, order: Order) -> Remedy:
    ssh = SessionOrder.of(host, owner_of(host)).destination().ssh_command()
    # A command over ssh begins at the home; in quotes, `~` would be nothing but a letter.
    place = shlex.quote(order.to if order.to.startswith("/") else f"./{order.to.removeprefix('~').lstrip('/')}")
    if isinstance(error, SourceError):
        return Remedy(f"{ssh} ls -l", "shows what is there; paths begin at the home")
    if isinstance(error, NoSpaceError):
        return Remedy(f"{ssh} {shlex.quote(f'df -h {place}')}", "shows what is left")
    return Remedy(f"{ssh} {shlex.quote(f'ls -ld {place}')}", "shows whose it is")
