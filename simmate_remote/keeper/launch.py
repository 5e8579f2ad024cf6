"""Bring the keeper to the host and join the first carrier: one command of the link does both."""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from simmate_remote.errors import ConversationGoneError, KeeperError, KeeperGoneError, ProtocolError, Remedy
from simmate_remote.keeper.arrival import Called, Found, arrive, call
from simmate_remote.keeper.dialogue import STEP_TIMEOUT
from simmate_remote.keeper.host.record import Previous
from simmate_remote.keeper.request import LaunchRequest
from simmate_remote.link.base import Link
from simmate_remote.streams.carrier import OTHER_VERSION, NearCarrier, NotTakenError
from simmate_remote.streams.conversation import Conversation

logger = logging.getLogger(__name__)

ENDING_TIMEOUT = 20.0
"""Seconds to wait for the end of a keeper that a login finds ending: tasks that hear nothing take Dask 4 of them."""

BETWEEN_TRIES = 0.25


@dataclass(frozen=True)
class Launched:
    """What answered.

    Args:
        found: What the host's Python told.
        started: Whether a keeper was started, or a living one was found.
        previous: What became of the keeper before the one that was started; None if nothing is known of one.
        warnings: What its user should hear, each in one line.
    """

    found: Found
    started: bool
    previous: Previous | None = None
    warnings: tuple[str, ...] = ()


async def launch(
    link: Link,
    conversation: Conversation,
    request: LaunchRequest,
    check: Callable[[Found], None],
    calling: Awaitable[Called] | None = None,
) -> Launched:
    """Find or start the keeper on the host, and give the conversation its first carrier.

    Args:
        link: The login.
        conversation: What the carrier shall belong to.
        request: How the keeper is wanted.
        check: Called with what the host's Python told, before anything is started there; may raise.
        calling: The command for it, if that was begun before.

    Raises:
        RemotePythonError: No Python there, or one that is too old.
        ForbiddenByServerError: The server runs no command for us.
        KeeperGoneError: None lives there, and none shall be started; with what became of the last one.
        KeeperElsewhereError: Another machine behind the same name has it.
        KeeperError: Our part there failed, with its own words; or the keeper there does not take the connection.
        LinkLostError: The link was lost meanwhile.
    """
    deadline = asyncio.get_running_loop().time() + ENDING_TIMEOUT
    called = await (calling or call(link, request.wish()))
    while True:
        try:
            return await _join(link, conversation, request, check, called)
        except NotTakenError as error:
            # What this login found was about to end: the next one finds nothing, or starts afresh, and says why.
            if asyncio.get_running_loop().time() > deadline:
                raise _not_taken(link, error) from error
            logger.info("%s; once more", error.what)
        await asyncio.sleep(BETWEEN_TRIES)
        called = await call(link, request.wish())


async def _join(
    link: Link, conversation: Conversation, request: LaunchRequest, check: Callable[[Found], None], called: Called
) -> Launched:
    found = await arrive(called, check)
    transport, dialogue = called.transport, called.dialogue
    try:
        handover = await dialogue.hear("handover")
        ssh = link.destination.ssh_command()
        with dialogue.understanding():
            pid = int(handover["pid"])
            launched = Launched(
                found=found,
                started=bool(handover["started"]),
                previous=Previous(**handover["previous"]) if handover["previous"] else None,
                warnings=tuple(f"{what}; mend it: {ssh} {command}" for what, command in handover["warnings"]),
            )
        carrier = NearCarrier(conversation, request.keepalive)
        dialogue.hand_over(carrier)
        await asyncio.wait_for(carrier.joined, STEP_TIMEOUT)
    except ConversationGoneError as error:
        transport.abort()
        raise KeeperGoneError(
            f"what this session had on the host is not there any more: {error.what}",
            host=link.destination.host,
            remedies=(Remedy(f"simmate-remote connect {shlex.quote(link.destination.host)}", "starts afresh"),),
        ) from error
    except NotTakenError:
        transport.abort()
        raise
    except (ProtocolError, TimeoutError) as error:
        transport.abort()
        if isinstance(error, ProtocolError) and error.what.startswith(OTHER_VERSION):
            raise _other_version(link, pid, error) from error
        raise _not_taken(link, error) from error
    except BaseException:
        transport.abort()
        raise
    return launched


def _not_taken(link: Link, error: ProtocolError | TimeoutError) -> KeeperError:
    host = link.destination.host
    return KeeperError(
        f"the keeper there did not take the connection: {error}",
        host=host,
        meanwhile="what it holds there goes on",
        remedies=(
            Remedy(f"simmate-remote connect {shlex.quote(host)}", "once more"),
            Remedy(f"simmate-remote ps {shlex.quote(host)}", "shows what is left"),
        ),
    )


def _other_version(link: Link, pid: int, error: ProtocolError) -> KeeperError:
    """Say how a keeper is ended to which nothing can be said: by a signal, which each version understands."""
    ssh = link.destination.ssh_command()
    return KeeperError(
        f"what runs there was started by another version of simmate-remote: {error.what}",
        host=link.destination.host,
        meanwhile="what it holds there goes on",
        remedies=(Remedy(f"{ssh} kill {pid}", "ends it, and all that it has there; or use the version that began it"),),
    )
