"""The session process: ``python -m simmate_remote.session`` reads its host on stdin and serves its control socket.

What it needs is imported by two threads: part of that time goes by while asyncssh lets programs look for libraries.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import sys
import threading
from pathlib import Path
from typing import Any

from simmate_remote.link import import_kind
from simmate_remote.session.order import SessionOrder
from simmate_remote.streams.allocation import keep_memory_of_reads

ALREADY_THERE = b"there\n"


def main() -> None:
    """Read the request, become the only session of its host, and serve."""
    request: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    path = Path(request["socket"])
    order = SessionOrder(**request["host"])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.stdout.buffer.write(ALREADY_THERE)
            return
        threading.Thread(target=import_kind, args=[order.link], daemon=True).start()
        from simmate_remote.session.serving import serve

        keep_memory_of_reads()
        path.unlink(missing_ok=True)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(path, order))


if __name__ == "__main__":
    main()
