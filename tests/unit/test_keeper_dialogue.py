"""What the end of the command that starts the keeper means, before it has said a word."""

from __future__ import annotations

import asyncio

import pytest

from simmate_remote.errors import ForbiddenByServerError, LinkLostError, RemotePythonError, SimmateRemoteError
from simmate_remote.keeper.dialogue import Dialogue
from simmate_remote.link import Destination
from simmate_remote.streams.carrier import NotTakenError


@pytest.mark.parametrize(
    ("status", "why", "error", "words"),
    [
        (1, None, ForbiddenByServerError, "ended at once (exit status 1)"),
        # A busy server may tell the status later than anybody waits for it; the link stands all the same.
        (None, None, ForbiddenByServerError, "ended at once (no exit status)"),
        (None, LinkLostError("silence", host="lab"), LinkLostError, "while the keeper was being started"),
        (127, None, RemotePythonError, "does not run: python3"),
    ],
)
async def test_an_end_without_a_word(
    status: int | None, why: LinkLostError | None, error: type[SimmateRemoteError], words: str
) -> None:
    dialogue = Dialogue(Destination("lab", "lab"), "n" * 32, "python3")
    dialogue.connection_made(asyncio.Transport({"exit_status": status, "stderr": b""}))
    dialogue.connection_lost(why)
    with pytest.raises(error) as caught:
        await dialogue.hear("handover")
    assert words in str(caught.value)


async def test_an_end_before_the_carrier_takes_over_is_the_keepers() -> None:
    dialogue = Dialogue(Destination("lab", "lab"), "n" * 32, "python3")
    dialogue.connection_made(asyncio.Transport({"exit_status": 1, "stderr": b""}))
    dialogue.connection_lost(None)
    with pytest.raises(NotTakenError, match="ended before the keeper had answered"):
        dialogue.hand_over(asyncio.Protocol())
