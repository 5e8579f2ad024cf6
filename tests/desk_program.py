"""Programs that runs execute in tests of the desk: each does what its run's payload says."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from simmate_remote.runs.host.execution import Ending
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.spec import Spec

cancelled: dict[str, threading.Event] = {}


def execute(folder: RunFolder, spec: Spec) -> Ending:
    """Count the attempts that are at work in the folder at the same time, and do what is asked."""
    marker = folder.files / "at-work"
    with marker.open("x"):
        pass
    try:
        result = globals()[spec.payload["do"]](folder, spec, **spec.payload.get("with", {}))
        return Ending("finished", pickle.dumps(result), plain=result if isinstance(result, int | str) else None)
    except ValueError as error:
        about = {"type": "ValueError", "text": str(error), "traceback": f"ValueError: {error}\n", "pickled": ""}
        return Ending("failed", error=about)
    finally:
        marker.unlink(missing_ok=True)


def cancel(run: str) -> None:
    cancelled.setdefault(run, threading.Event()).set()


async def prepare(client: Any, store: Any, spec: Spec) -> None:
    if spec.code is not None:
        await asyncio.sleep(0.1)
        store.get(spec.code)


def double(folder: RunFolder, spec: Spec, number: int) -> int:
    return 2 * number


def fail(folder: RunFolder, spec: Spec) -> None:
    raise ValueError("it failed")


def fail_at_length(folder: RunFolder, spec: Spec, size: int) -> None:
    raise ValueError("é" * size)


def deaf(folder: RunFolder, spec: Spec) -> str:
    """Hear nothing of a call that comes before this has begun: only what comes later counts."""
    (folder.files / "began").touch()
    until((folder.files / "hear").exists)
    event = cancelled[spec.id] = threading.Event()
    if not event.wait(20):
        return "deaf"
    (folder.files / "heard").touch()
    return "cancelled"


def large(folder: RunFolder, spec: Spec, size: int) -> bytes:
    return os.urandom(size)


def wait(folder: RunFolder, spec: Spec) -> str:
    """Wait until the run is cancelled, or the file ``go`` is there."""
    event = cancelled.setdefault(spec.id, threading.Event())
    (folder.files / "began").touch()
    while not event.wait(0.02):
        if (folder.files / "go").exists():
            return "went"
    (folder.files / "heard").touch()
    return "cancelled"


def remove(folder: RunFolder, spec: Spec) -> int:
    """Remove the own folder, as a user might."""
    import shutil

    shutil.rmtree(folder.path)
    return 1


def die(folder: RunFolder, spec: Spec, times: int, leave: bool = False) -> int:
    """Kill the own process in the first attempts; leave something running if asked to."""
    attempt = folder.attempts()
    (folder.files / "at-work").unlink()
    if attempt <= times:
        if leave:
            left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
            (folder.files / "left").write_text(str(left.pid))
        os.kill(os.getpid(), signal.SIGKILL)
    return attempt


def until(condition: Any, limit: float = 20.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        threading.Event().wait(0.02)


def lives(pid: int) -> bool:
    """Say whether a process lives."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
