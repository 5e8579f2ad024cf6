"""Calls: requests and answers as JSON, a line each, over any connection; either side may call the other.

The keeper is called over a stream, the nursery over its pipes, the session over its control socket: the same protocol.

A request is ``{"id": 1, "call": "name", "arguments": {…}}``. Answers carry its id: ``{"id": 1, "item": …}`` any number
of times, for what comes little by little, then ``{"id": 1, "result": …}`` or ``{"id": 1, "error": {…}, "now": …}``,
whose times are by the clock that says now. ``{"id": 1, "cancel": true}`` withdraws a request.
``{"tell": "name", "arguments": {…}}`` wants no answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, cast

from simmate_remote.errors import KeeperError, ProtocolError, SimmateRemoteError, error_from_dict, error_to_dict

logger = logging.getLogger(__name__)

MAX_LINE = 8 * 1024 * 1024
MAX_SERVING = 16 * 1024
"""Calls of the other side that are served at once."""

MAX_SHOWN = 1000
"""Characters of a foreign text in a message of ours."""

Handler = Callable[..., Any]
"""A plain function, a coroutine function, or an async generator (which answers item by item)."""

_END = object()
_TOO_MANY = object()


class Caller(asyncio.Protocol):
    """One side of a connection that carries calls.

    Args:
        handlers: What the other side may call, by name.
        lost: The exception that pending calls get when the connection is lost.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler] | None = None,
        *,
        lost: Callable[[], Exception] = lambda: KeeperError("the connection was lost before the answer came"),
    ) -> None:
        self.handlers: dict[str, Handler] = dict(handlers or {})
        self.closed = asyncio.Event()
        self._lost = lost
        self._transport: asyncio.WriteTransport | None = None
        self._kept = bytearray()
        self._broken = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._numbers = itertools.count(1)
        self._answers: dict[int, _Answers] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}

    # As a caller

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """Call the other side and give its result.

        Raises:
            SimmateRemoteError: Whatever the other side raised, or that the connection was lost.
        """
        result = None
        async for kind, value in self._ask(name, arguments):
            if kind == "result":
                result = value
        return result

    async def items(self, name: str, /, **arguments: Any) -> AsyncIterator[Any]:
        """Call the other side and yield what it gives little by little."""
        async with contextlib.aclosing(self._ask(name, arguments)) as answers:
            async for kind, value in answers:
                if kind == "item":
                    yield value

    def tell(self, name: str, /, **arguments: Any) -> None:
        """Tell the other side something; no answer is wanted, and none is missed if the connection is gone."""
        self._send(_line({"tell": name, "arguments": arguments}))

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    async def _ask(self, name: str, arguments: dict[str, Any]) -> AsyncGenerator[tuple[str, Any], None]:
        if self.closed.is_set() or self._transport is None:
            raise self._lost()
        number = next(self._numbers)
        request = _line({"id": number, "call": name, "arguments": arguments})
        self._answers[number] = answers = _Answers()
        self._send(request)
        complete = False
        try:
            while True:
                message = await answers.get()
                if message is _TOO_MANY:
                    raise KeeperError(f"the answers to {name} came faster than they were taken")
                if message is _END:
                    complete = True
                    raise self._lost()
                if "error" in message:
                    complete = True
                    raise _told_error(message)
                if "item" in message:
                    yield "item", message["item"]
                else:
                    complete = True
                    yield "result", message.get("result")
                    return
        finally:
            del self._answers[number]
            if not complete:
                self._send(_line({"id": number, "cancel": True}))

    # As a connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.attach(cast(asyncio.WriteTransport, transport))

    def attach(self, transport: asyncio.WriteTransport) -> None:
        """Write to this transport; for connections whose two directions are separate pipes."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._broken:
            return
        # Only what is new is searched: a long line comes in many pieces.
        *ends, rest = bytes(data).split(b"\n")
        try:
            for end in ends:
                line = bytes(self._kept) + end
                self._kept.clear()
                self._take_line(line)
            self._kept += rest
            if len(self._kept) > MAX_LINE:
                raise ProtocolError(f"a call of more than {MAX_LINE} bytes")
        except ProtocolError as error:
            logger.warning("%s: the connection is closed", error.what)
            self._broken = True
            self._kept.clear()
            self.close()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.closed.is_set():
            return
        self.closed.set()
        for answers in self._answers.values():
            answers.put(_END, 0)
        for task in self._serving.values():
            task.cancel()

    def _send(self, line: bytes) -> None:
        if self._transport is not None and not self.closed.is_set():
            self._transport.write(line)

    # As the one who is called

    def _take_line(self, line: bytes) -> None:
        if len(line) > MAX_LINE:
            raise ProtocolError(f"a call of more than {MAX_LINE} bytes")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"a call that cannot be read ({type(error).__name__})") from error
        if not isinstance(message, dict):
            raise ProtocolError("a call that is not an object")
        if not isinstance(message.get("id", None if "tell" in message else ""), int | None):
            raise ProtocolError("a call without a number")
        self._receive(message, len(line))

    def _receive(self, message: dict[str, Any], size: int) -> None:
        if "call" in message or "tell" in message:
            name, arguments = message.get("call", message.get("tell")), message.get("arguments", {})
            if not isinstance(name, str) or not isinstance(arguments, dict):
                raise ProtocolError("a call without a name, or with arguments that have none")
            number = message.get("id")
            key = -next(self._numbers) if number is None else number
            if key in self._serving or len(self._serving) >= MAX_SERVING:
                raise ProtocolError("a call whose number is taken, or more calls at once than are served")
            task = asyncio.get_running_loop().create_task(self._serve(number, name[:MAX_SHOWN], arguments))
            self._serving[key] = task
            task.add_done_callback(lambda _: self._serving.pop(key, None))
        elif message.get("cancel"):
            if (task_or_none := self._serving.get(message["id"])) is not None:
                task_or_none.cancel()
        elif (answers := self._answers.get(message["id"])) is not None:
            answers.put(message, size)

    async def _serve(self, number: int | None, name: str, arguments: dict[str, Any]) -> None:
        try:
            outcome = await self._outcome(number, name, arguments)
            answer = _line({"id": number, "result": outcome})
        except SimmateRemoteError as error:
            logger.info("the call %s failed", name)
            answer = _error_line(number, error)
        except Exception as error:
            logger.exception("the call %s failed", name)
            text = f"{type(error).__name__}: {error}"
            answer = _error_line(number, KeeperError(f"{name} failed: {text[:MAX_SHOWN]}"))
        if number is not None:
            self._send(answer)

    async def _outcome(self, number: int | None, name: str, arguments: dict[str, Any]) -> Any:
        handler = self.handlers.get(name)
        if handler is None:
            raise KeeperError(f"nothing here answers to the call {name!r}")
        outcome = handler(**arguments)
        if inspect.isasyncgen(outcome):
            async with contextlib.aclosing(outcome):
                async for item in outcome:
                    self._send(_line({"id": number, "item": item}))
                    await self._writable.wait()
            return None
        return await outcome if inspect.isawaitable(outcome) else outcome


def _line(message: dict[str, Any]) -> bytes:
    line = json.dumps(message).encode() + b"\n"
    if len(line) > MAX_LINE:
        raise KeeperError(f"a call or an answer of {len(line)} bytes is longer than the {MAX_LINE} that are allowed")
    return line


def _error_line(number: int | None, error: SimmateRemoteError) -> bytes:
    # The time now by the clock that also says since when: the other side may have another one.
    common = {"id": number, "now": time.time()}
    try:
        return _line({**common, "error": error_to_dict(error)})
    except KeeperError as too_long:  # it repeats what it was asked with
        return _line({**common, "error": error_to_dict(too_long)})


def _told_error(message: dict[str, Any]) -> SimmateRemoteError:
    """Make the exception that the other side described, in whatever form; since when, by the clock here."""
    try:
        error = error_from_dict(message["error"])
        error.since += time.time() - message.get("now", time.time())
        if isinstance(error.what, str) and str(error):
            return error
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as unreadable:
        logger.info("an error was told that cannot be read: %s", type(unreadable).__name__)
    return ProtocolError("an error was told in a form that cannot be read")


class _Answers:
    """Answers to one call that nobody has taken yet; if they come faster than they are taken, the call is over."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[Any, int]] = asyncio.Queue()
        self._waiting = 0
        self._given_up = False

    def put(self, message: Any, size: int) -> None:
        """Keep an answer whose line has ``size`` bytes."""
        if self._given_up:
            return
        self._given_up = self._waiting > MAX_LINE
        self._waiting += size
        self._queue.put_nowait((_TOO_MANY, 0) if self._given_up else (message, size))

    async def get(self) -> Any:
        """Give the next answer."""
        message, size = await self._queue.get()
        self._waiting -= size
        return message
