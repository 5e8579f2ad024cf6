"""Waiting inside of a workflow: whoever waits gives up its place, or workflows that fill all workers wait for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from distributed import worker_client
from distributed.worker import thread_state


class _Waiting(threading.local):
    """Those who wait in one thread: a function, or several coroutines of an asynchronous one, each for a run."""

    number = 0
    given_up: ExitStack


_waiting = _Waiting()


def inside_a_task() -> bool:
    """Say whether this thread is a worker's, at work on a task."""
    return hasattr(thread_state, "start_time")


@contextmanager
def place_given_up() -> Iterator[None]:
    """Leave this thread's place to other tasks of its worker for the time of a block; elsewhere, do nothing.

    Blocks of several coroutines may overlap: the last one that ends takes the place again.
    """
    if not inside_a_task():
        yield
        return
    if not _waiting.number:
        _waiting.given_up = ExitStack()
        _waiting.given_up.enter_context(worker_client())
    _waiting.number += 1
    try:
        yield
    finally:
        _waiting.number -= 1
        if not _waiting.number:
            _waiting.given_up.close()
