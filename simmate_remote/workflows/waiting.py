"""Waiting inside of a workflow: whoever waits gives up its place, or workflows that fill all workers wait for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import worker_client
from distributed.worker import thread_state


def inside_a_task() -> bool:
    """Say whether this thread is a worker's, at work on a task."""
    return hasattr(thread_state, "start_time")


@contextmanager
def place_given_up() -> Iterator[None]:
    """Leave this thread's place to other tasks of its worker for the time of a block; elsewhere, do nothing."""
    if not inside_a_task():
        yield
        return
    with worker_client():
        yield
