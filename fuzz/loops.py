"""An event loop for one input, and what went wrong in it without anybody being told."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine
from typing import Any

from fuzz.bounds import Finding

TURNS = 4
"""Turns of the loop after which every callback of what has just arrived has run."""


async def settle() -> None:
    """Let all run that what has just arrived made due."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def run_quietly(play: Coroutine[Any, Any, None], allowed: str | None = None) -> None:
    """Run a coroutine; fail if anything was logged as an error meanwhile, or met nobody who caught it.

    Args:
        play: What feeds an input.
        allowed: A pattern of what may be logged all the same.

    Raises:
        Finding: Something that an input must not cause.
    """
    errors, logger = _Errors(), logging.getLogger("simmate_remote")
    logger.addHandler(errors)
    logger.propagate = False
    try:
        with asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(errors.uncaught)
            runner.run(_ended(play))
    finally:
        logger.propagate = True
        logger.removeHandler(errors)
    if found := [each for each in errors.found if allowed is None or not re.match(allowed, each)]:
        raise Finding(found[0])


async def _ended(play: Coroutine[Any, Any, None]) -> None:
    try:
        await play
    finally:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await settle()


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        self.found.append(f"{record.getMessage()[:500]} ({cause!r})")

    def uncaught(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.found.append(f"{context['message']} ({context.get('exception')!r})")
