"""``await handle``: waiting for a run beside an event loop that may end before the run does."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def wait_beside(wait: Callable[[], T], name: str) -> T:
    """Call a function that may wait for hours in a thread of its own, and give its answer.

    The loop's own threads are few, and the end of the loop waits for them. Whoever gives up here, by a time limit or by
    Ctrl-C, is free at once: the thread stays, and its answer is dropped.

    Args:
        wait: The function.
        name: The thread's.

    Raises:
        BaseException: What the function raised.
    """
    answer: Future[T] = Future()
    answer.set_running_or_notify_cancel()  # from here on nobody can cancel it

    def work() -> None:
        try:
            answer.set_result(wait())
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits
            answer.set_exception(error)

    threading.Thread(target=contextvars.copy_context().run, args=(work,), name=name, daemon=True).start()
    return await asyncio.wrap_future(answer)
