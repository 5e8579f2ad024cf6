"""Serving a session's control socket until the session has ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from simmate_remote.session.control import Control
from simmate_remote.session.first_login import FirstLogin
from simmate_remote.session.order import LISTENING, SessionOrder
from simmate_remote.streams.descriptors import allow_many_connections


async def serve(path: Path, host: SessionOrder, first_login: FirstLogin) -> None:
    """Run the session until it is stopped.

    Args:
        path: The control socket's.
        host: What the inventory says.
        first_login: The login there, under way.
    """
    allow_many_connections()
    control = Control(host, first_login)
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
        with contextlib.suppress(FileNotFoundError):  # the folder for sockets may have gone with its user's last login
            os.unlink(path)
        await asyncio.gather(*(client.take_leave() for client in control.clients))
