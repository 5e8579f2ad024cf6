"""The session process: ``python -m simmate_remote.session`` reads its host on stdin and serves its control socket."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from simmate_remote.session.control import Control
from simmate_remote.session.order import SessionOrder
from simmate_remote.streams.allocation import keep_memory_of_reads

ALREADY_THERE = b"there\n"
LISTENING = b"listening\n"


async def serve(path: Path, host: SessionOrder) -> None:
    """Run the session until it is stopped."""
    control = Control(host)
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(control.client, str(path))
    sys.stdout.buffer.write(LISTENING)
    sys.stdout.buffer.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, lambda: control.end("the session process was asked to end by a signal"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control.await_owner()
    try:
        await control.session.run()
    finally:
        server.close()
        os.unlink(path)
        await asyncio.gather(*(client.take_leave() for client in control.clients))


def main() -> None:
    """Read the request, become the only session of its host, and serve."""
    request: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    path = Path(request["socket"])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.stdout.buffer.write(ALREADY_THERE)
            return
        keep_memory_of_reads()
        path.unlink(missing_ok=True)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(path, SessionOrder(**request["host"])))


if __name__ == "__main__":
    main()
