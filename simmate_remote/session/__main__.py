"""The session process: ``python -m simmate_remote.session`` reads its host on stdin and serves its control socket.

Whoever starts it waits for the login: what that needs is imported first, and the rest while the host is awaited.
"""

from __future__ import annotations

import gc

if __name__ == "__main__":
    # Nothing of what is imported is ever garbage, and looking for some is a fifth of the time until the login begins.
    gc.disable()

import asyncio
import contextlib
import fcntl
import importlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from simmate_remote.link import import_kind
from simmate_remote.session.first_login import FirstLogin, import_for_call
from simmate_remote.session.order import ALREADY_THERE, SessionOrder
from simmate_remote.streams.allocation import keep_memory_of_reads

SOONER = 0.0005
"""Seconds; five milliseconds are Python's usual ones, and a login is a dozen words."""


def main() -> None:
    """Read the request, become the only session of its host, and serve."""
    request: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    path = Path(request["socket"])
    order = SessionOrder(**request["host"])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    with path.with_suffix(".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.stdout.buffer.write(ALREADY_THERE)
            return
        # The log is this session's from here on; that of one that lives is left alone.
        with contextlib.suppress(OSError):
            os.ftruncate(sys.stderr.fileno(), 0)
        # The name of its socket has not always room for the host's.
        with contextlib.suppress(OSError):
            os.ftruncate(lock.fileno(), 0)
            os.write(lock.fileno(), order.name.encode())
        keep_memory_of_reads()
        path.unlink(missing_ok=True)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(live(path, order))


async def live(path: Path, order: SessionOrder) -> None:
    """Begin the login, and run the session until it is stopped."""
    first_login = FirstLogin(order)
    await asyncio.to_thread(import_kind, order.link)
    # The thread that imports gives way sooner than usual to what the host says.
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SOONER)
    await asyncio.to_thread(import_for_call)
    await first_login.head_start()
    serving = await asyncio.to_thread(importlib.import_module, "simmate_remote.session.serving")
    sys.setswitchinterval(usual)
    gc.freeze()
    gc.enable()
    await serving.serve(path, order, first_login)


if __name__ == "__main__":
    main()
