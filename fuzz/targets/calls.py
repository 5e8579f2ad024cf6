"""Calls: lines of JSON from the other side, while calls of ours wait for their answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fuzz.bounds import Budget, Finding, check_kept
from fuzz.hostile_frames import pieces
from fuzz.hostile_json import record
from fuzz.loops import run_quietly, settle
from fuzz.script import Script
from fuzz.wires import Wire
from simmate_remote.errors import SimmateRemoteError
from simmate_remote.streams.calls import MAX_LINE, MAX_SERVING, Caller

OBJECTS = 16  # times as much memory as JSON has bytes: an empty list is three bytes there and 56 here
MOST_KEPT = 3 * MAX_LINE * OBJECTS + MAX_SERVING * 10_000

_ERROR = (
    '{"error":"KeeperError","what":"it failed","host":null,"since":1.0,"meanwhile":null,"remedies":[],"detail":null}'
)
_ANSWER = (
    ("id", ("1", "2", "3")),
    ("result", ("1", "null")),
    ("item", ("1", '"text"')),
    ("error", (_ERROR, '{"error":"OSError"}', _ERROR.replace("[]", "[1]"), _ERROR.replace('"it failed"', "[]"))),
)
_REQUEST = (
    ("id", ("1", "2", "1", "null")),
    ("call", ('"echo"', '"wait"', '"follow"', '"nothing"')),
    ("tell", ('"echo"', '"wait"')),
    ("arguments", ('{"text":"x"}', "{}", '{"self":1}', '{"text":' + "[" * 900 + "]" * 900 + "}")),
    ("cancel", ("true", "false")),
)
_ONE_ANSWER = (_ANSWER[:2], (_ANSWER[0], _ANSWER[2]), (_ANSWER[0], _ANSWER[3]), _ANSWER)
_ONE_REQUEST = (
    _REQUEST[:2],
    (_REQUEST[0], _REQUEST[1], _REQUEST[3]),
    _REQUEST[2:4],
    (_REQUEST[0], _REQUEST[4]),
    _REQUEST,
)


def lines(script: Script) -> bytes:
    """Give one line many times, or bytes that are none."""
    what = script.number()
    if what < 240:
        fields = script.choice(_ONE_ANSWER if what < 120 else _ONE_REQUEST)
        line = record(script, fields) + b"\n" * (script.number() < 250)
    else:
        line = script.take(script.number() % 64)
    return line * min(script.choice((1, 1, 1, 3, 3000)), 1 + 1_000_000 // (len(line) + 1))


async def echo(text: Any) -> Any:
    """Give back what came."""
    return text


async def wait() -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def follow() -> AsyncIterator[int]:
    """Give one item, and no other."""
    yield 1
    await asyncio.Event().wait()


async def listen(caller: Caller) -> None:
    """Take the items of a call slowly, as a terminal does that was stopped."""
    async for _ in caller.items("logs"):
        await asyncio.Event().wait()


def check_outcome(task: asyncio.Task[Any]) -> None:
    """Fail if a call of ours ended with anything but an answer or an error that is ours."""
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        if not isinstance(error, SimmateRemoteError):
            raise Finding(f"a call ends with {error!r}")
        str(error)


async def play(data: bytes) -> None:
    """Play a hostile other side of a connection that carries calls."""
    script, budget = Script(data), Budget()
    caller = Caller({"echo": echo, "wait": wait, "follow": follow})
    wire = Wire(caller)
    loop = asyncio.get_running_loop()
    ours = [
        loop.create_task(caller.call("describe")),
        loop.create_task(listen(caller)),
        loop.create_task(caller.call("x")),
    ]
    await settle()
    while not script.over and not wire.over and budget.fed < 12_000_000:
        for piece in pieces(script, lines(script)):
            budget.fed += len(piece)
            wire.feed(piece)
        if script.number() % 2:
            await settle()
    await settle()
    check_kept(MOST_KEPT, caller)
    wire.sent.clear()
    wire.abort()
    await settle()
    for task in ours:
        check_outcome(task)
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError, SimmateRemoteError):
        await asyncio.gather(*ours)
    budget.check()


def check(data: bytes) -> None:
    """Play a hostile other side; see :func:`play`."""
    run_quietly(play(data), r"the call \w+ failed \(TypeError")  # for arguments that a handler does not take


def seeds() -> list[bytes]:
    """Give inputs to begin with."""
    answer, item, error, request, cancel = (0, 0), (0, 1), (0, 2), (120, 0), (120, 3)

    def line(kind: tuple[int, int], *fields: int, times: int = 0) -> bytes:
        return bytes([*kind, *fields, 0, times, 0, 1])

    return [
        line(answer, 0, 0, 0, 0),
        line(item, 0, 1, 0, 0, times=4),
        line(error, 0, 0, 0, 0),
        line(error, 0, 0, 0, 1),
        line(error, 0, 0, 0, 2),
        line(error, 0, 0, 0, 3),
        line(error, 0, 0, 0, 171),
        line(request, 0, 0, 0, 0),
        line(request, 0, 0, 0, 1, times=4),
        line(cancel, 0, 3, 0, 0),
        line(cancel, 0, 0, 0, 0),
    ]
