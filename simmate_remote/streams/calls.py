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
        self._send({"tell": name, "arguments": arguments})

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    async def _ask(self, name: str, arguments: dict[str, Any]) -> AsyncGenerator[tuple[str, Any], None]:
        if self.closed.is_set():
            raise self._lost()
        number = next(self._numbers)
        answers: asyncio.Queue[Any] = asyncio.Queue()
        self._answers[number] = answers
        self._send({"id": number, "call": name, "arguments": arguments})
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
                self._send({"id": number, "cancel": True})

    # As a connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.attach(cast(asyncio.WriteTransport, transport))

    def attach(self, transport: asyncio.WriteTransport) -> None:
        """Write to this transport; for connections whose two directions are separate pipes."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._kept += data
        *lines, rest = self._kept.split(b"\n")
        if len(rest) > MAX_LINE or any(len(line) > MAX_LINE for line in lines):
            logger.warning("a call of more than %d bytes: the connection is closed", MAX_LINE)
            self.close()
            return
        self._kept = bytearray(rest)
        for line in lines:
            try:
                message = json.loads(line)
                if not isinstance(message, dict):
                    raise ProtocolError("a call that is not an object")
                self._receive(message)
            except (ValueError, KeyError, ProtocolError) as error:
                logger.warning("a call that cannot be read (%s): the connection is closed", type(error).__name__)
                self.close()
                return

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.closed.is_set():
            return
        self.closed.set()
        for answers in self._answers.values():
            answers.put_nowait(_END)
        for task in self._serving.values():
            task.cancel()

    def _send(self, message: dict[str, Any]) -> None:
        if self._transport is not None and not self.closed.is_set():
            self._transport.write(json.dumps(message).encode() + b"\n")

    # As the one who is called

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
        name = message.get("call") or message.get("tell")
        try:
            handler = self.handlers.get(str(name))
            if handler is None:
                raise KeeperError(f"nothing here answers to the call {name!r}")
            outcome = handler(**message.get("arguments", {}))
            if inspect.isasyncgen(outcome):
                async with contextlib.aclosing(outcome):
                    async for item in outcome:
                        self._send({"id": number, "item": item})
                outcome = None
            elif inspect.isawaitable(outcome):
                outcome = await outcome
        except SimmateRemoteError as error:
            answer = {"id": number, "error": error_to_dict(error)}
            level = logging.INFO
        except Exception as error:  # noqa: BLE001 - it is told to the caller and logged, whatever it is
            wrapped = KeeperError(f"{name} failed: {type(error).__name__}: {error}")
            answer = {"id": number, "error": error_to_dict(wrapped)}
            level = logging.ERROR
        else:
            if number is not None:
                self._send({"id": number, "result": outcome})
            return
        logger.log(level, "the call %s failed", name, exc_info=level == logging.ERROR)
        if number is not None:
            self._send(answer)
