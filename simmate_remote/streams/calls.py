"""Calls: requests and answers as JSON, a line each, over any connection; either side may call the other.

The keeper is called over a stream, the nursery over its pipes, the session over its control socket: the same protocol.

A request is ``{"id": 1, "call": "name", "arguments": {…}}``. Answers carry its id: ``{"id": 1, "item": …}`` any number
of times, for what comes little by little, then ``{"id": 1, "result": …}`` or ``{"id": 1, "error": {…}}``.
``{"id": 1, "cancel": true}`` withdraws a request. ``{"tell": "name", "arguments": {…}}`` wants no answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, cast

from simmate_remote.errors import KeeperError, ProtocolError, SimmateRemoteError, error_from_dict, error_to_dict

logger = logging.getLogger(__name__)

MAX_LINE = 8 * 1024 * 1024

Handler = Callable[..., Any]
"""A plain function, a coroutine function, or an async generator (which answers item by item)."""

_END = object()


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
        self._answers: dict[int, asyncio.Queue[Any]] = {}
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
        answers: asyncio.Queue[Any] = asyncio.Queue()
        self._answers[number] = answers
        self._send(request)
        complete = False
        try:
            while True:
                message = await answers.get()
                if message is _END:
                    complete = True
                    raise self._lost()
                if "error" in message:
                    complete = True
                    raise error_from_dict(message["error"])
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
            answers.put_nowait(_END)
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
        self._receive(message)

    def _receive(self, message: dict[str, Any]) -> None:
        if "call" in message or "tell" in message:
            task = asyncio.get_running_loop().create_task(self._serve(message))
            number = message.get("id", -next(self._numbers))
            self._serving[number] = task
            task.add_done_callback(lambda _: self._serving.pop(number, None))
        elif message.get("cancel"):
            if (task_or_none := self._serving.get(message["id"])) is not None:
                task_or_none.cancel()
        elif (answers := self._answers.get(message["id"])) is not None:
            answers.put_nowait(message)

    async def _serve(self, message: dict[str, Any]) -> None:
        number = message.get("id")
        name = str(message.get("call") or message.get("tell"))
        try:
            outcome = await self._outcome(number, name, message.get("arguments", {}))
            answer = _line({"id": number, "result": outcome})
        except SimmateRemoteError as error:
            logger.info("the call %s failed", name)
            answer = _line({"id": number, "error": error_to_dict(error)})
        except Exception as error:
            logger.exception("the call %s failed", name)
            wrapped = KeeperError(f"{name} failed: {type(error).__name__}: {error}")
            answer = _line({"id": number, "error": error_to_dict(wrapped)})
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
