"""What a host prints while the keeper is being started there: words of our part, and whatever else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from fuzz.bounds import Budget, Finding, check_kept
from fuzz.hostile_frames import pieces
from fuzz.hostile_json import record
from fuzz.loops import run_quietly, settle
from fuzz.script import Script
from fuzz.wires import Wire
from simmate_remote.environment.versions import compare
from simmate_remote.errors import SimmateRemoteError
from simmate_remote.keeper.arrival import Found
from simmate_remote.keeper.launch import LaunchRequest, launch
from simmate_remote.link.base import Destination
from simmate_remote.streams.carrier import Keepalive
from simmate_remote.streams.conversation import Conversation

MOST_KEPT = 3_000_000  # a few lines, the package that is on its way, and our own text

_VERSIONS = '{"distributed":"2026.1.2","dask":"2026.1.2","numpy":null}'
_PREVIOUS = '{"kind":"died","since":1.0,"ended":2.0,"text":"it died","detail":"why"}'
_RECORD = (
    '{"hostname":"two","boot":"b","pid":1,"since":1.0,"version":"1","package":"p","handover":"/h","carrier":"/c",'
    '"runtime":"/r"}'
)
_WORDS = (
    ("at", ('"bootstrap"', '"handover"', '"failed"', '"gone"', '"elsewhere"')),
    ("python", ("[3,11,9]", "[3,12,1]")),
    ("executable", ('"/usr/bin/python3"',)),
    ("hostname", ('"lab"',)),
    ("versions", (_VERSIONS, '{"distributed":5}', "{}")),
    ("package", ("true", "false")),
    ("started", ("true",)),
    ("error", ('"OSError: disk full"',)),
    ("previous", ("null", _PREVIOUS, _PREVIOUS.replace("2.0", "1e300"), _PREVIOUS.replace('"why"', "[]"))),
    ("record", (_RECORD, _RECORD.replace("1.0", '"x"'), _RECORD.replace('"two"', "null"))),
    ("warnings", ("[]", '[["it is so","true"]]', "[1]")),
)


class HostileHost:
    """A login to a host that prints what the script says."""

    destination = Destination("lab", "lab", None)

    def __init__(self) -> None:
        self.wire: Wire | None = None
        self.nonce = b""

    async def open_command(self, command: str, factory: Callable[[], Any]) -> tuple[Wire, Any]:
        """Run nothing, and note what the words shall begin with."""
        self.nonce = command.rstrip("'").rsplit(None, 1)[-1].encode()
        self.wire = Wire(factory())
        return self.wire, self.wire.protocol


def printed(script: Script, nonce: bytes) -> bytes:
    """Give what the host prints next: one of our words, or something else, once or many times."""
    what = script.number()
    if what < 170:
        line = b"\n" + nonce + b" " + record(script, _WORDS) + b"\n"
    elif what < 190:
        line = b"\n" + nonce + b" " + script.take(script.number() % 40) + b"\n"
    elif what < 200:
        line = b"\n" + nonce + b" {} /usr/bin/python : 3 " + script.take(script.number() % 8) + b"\n"
    else:
        line = script.take(script.number() % 40) or b"Welcome to this machine! "
    return line * min(script.choice((1, 1, 1, 40, 4000)), 1 + 200_000 // len(line))


def check_versions(found: Found) -> None:
    """Compare versions as a session does."""
    compare("lab", "ssh lab", found.python, found.executable, found.versions)


async def play(data: bytes) -> None:
    """Start a keeper on a hostile host."""
    script, budget, host = Script(data), Budget(), HostileHost()
    conversation = Conversation(first=True, token="s" * 64)
    request = LaunchRequest("~/simmate-remote", None, 60.0, ("dask",), Keepalive(), None)
    starting = asyncio.get_running_loop().create_task(
        launch(host, conversation, request, check_versions)  # type: ignore[arg-type]
    )
    await settle()
    while not script.over and not starting.done() and host.wire is not None and budget.fed < 2_000_000:
        for piece in pieces(script, printed(script, host.nonce)):
            budget.fed += len(piece)
            host.wire.feed(piece)
        await settle()
        host.wire.sent.clear()
    if host.wire is None:
        raise Finding("nothing was started")
    check_kept(MOST_KEPT, host.wire)
    host.wire.abort()
    await settle()
    with contextlib.suppress(SimmateRemoteError):
        try:
            await starting
        except SimmateRemoteError as error:
            str(error)
            raise
    conversation.close("the input is over")
    budget.check()


def check(data: bytes) -> None:
    """Start a keeper on a hostile host; see :func:`play`."""
    run_quietly(play(data))


def seeds() -> list[bytes]:
    """Give inputs to begin with."""

    def word(at: int, *changes: tuple[int, int]) -> bytes:
        fields = bytearray(2 * len(_WORDS))
        fields[1] = at
        for place, value in changes:
            fields[2 * place + 1] = value
        return bytes([0]) + bytes(fields) + bytes([0, 0])

    return [
        word(0) + word(1),
        word(0, (5, 1)) + word(1, (10, 1)),
        word(0, (4, 1)),
        word(0, (1, 182)),
        word(2),
        word(3, (8, 1)),
        word(3, (8, 2)),
        word(3, (8, 3)),
        word(4),
        word(4, (9, 1)),
        word(0) + word(1, (10, 2)),
        bytes([170, 3]) + b"{}x" + bytes([0, 0]),
        bytes([180, 1]) + b"5" + bytes([0, 0]),
        bytes([200, 0, 4, 2]),
    ]
