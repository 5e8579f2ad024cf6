"""What happens to processes: here the session and the user's own, there keeper, scheduler and workers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator

from faults.place import Place


@contextlib.contextmanager
def session_stopped(place: Place, seconds: float) -> Iterator[None]:
    """Let the session's process stand still, as behind a closed lid."""
    os.kill(place.about["session"], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(place.about["session"], signal.SIGCONT)


@contextlib.contextmanager
def user_stopped(place: Place, seconds: float) -> Iterator[None]:
    """Let the user's process stand still, half of a transfer not yet taken."""
    assert place.user is not None
    place.user.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        place.user.signal(signal.SIGCONT)


@contextlib.contextmanager
def session_killed(place: Place, seconds: float) -> Iterator[None]:
    """Kill the session's process."""
    os.kill(place.about["session"], signal.SIGKILL)
    yield


@contextlib.contextmanager
def keeper_killed(place: Place, seconds: float) -> Iterator[None]:
    """Kill the keeper."""
    record = place.box.run("cat ~/simmate-remote/keepers/*.json").stdout
    place.box.kill(int(json.loads(record)["pid"]), signal.SIGKILL)
    yield


@contextlib.contextmanager
def scheduler_killed(place: Place, seconds: float) -> Iterator[None]:
    """Kill the scheduler."""
    place.box.kill(place.about["scheduler"], signal.SIGKILL)
    yield


@contextlib.contextmanager
def worker_killed(place: Place, seconds: float) -> Iterator[None]:
    """Kill a worker, with the results that it holds and the tasks that it runs."""
    place.box.kill(place.about["workers"][0], signal.SIGKILL)
    yield
