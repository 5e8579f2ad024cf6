"""The frame of a scheduler's or a nanny's process: output to its log, configuration, ready, close, end with the parent.

The nursery imports this module, so distributed is imported only inside the functions, which run in the child.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import select
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Protocol

from simmate_remote.cluster.host import fork_server
from simmate_remote.keeper.host.appearance import show_name


class Role(Protocol):
    """A server of distributed, as far as the frame knows it."""

    async def close(self) -> None:
        """End the server and what it started."""

    async def finished(self) -> None:
        """Wait until the server has ended."""


Starter = Callable[[dict[str, Any]], Awaitable[tuple[Role, dict[str, Any]]]]


def run_scheduler(configuration: dict[str, Any], connection: Connection[Any, Any]) -> None:
    """Be the scheduler."""
    from simmate_remote.cluster.host.roles import start_scheduler

    show_name("scheduler")
    _run(configuration, connection, partial(start_scheduler, tell=partial(_tell, connection)))


def run_worker(configuration: dict[str, Any], connection: Connection[Any, Any]) -> None:
    """Be a nanny, whose worker process is forked from the same fork server."""
    from simmate_remote.cluster.host.roles import start_worker

    show_name(f"nanny of {configuration['name']}")
    fork_server.share()
    _run(configuration, connection, partial(start_worker, scheduler=partial(_hear_of_scheduler, connection)))


def redirect_output(path: str) -> None:
    """Let everything that this process writes to stdout and stderr go to a file, however much it is."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _tell(connection: Connection[Any, Any], **counts: int) -> bool:
    """Tell the parent of unfinished work, unless it has not listened for a while; give whether it was told."""
    if not select.select([], [connection], [], 0)[1]:
        return False
    with contextlib.suppress(OSError):  # the parent is gone, and this process about to end
        connection.send({"work": counts})
    return True


def _hear_of_scheduler(connection: Connection[Any, Any]) -> str:
    """Wait for the parent's word where the scheduler is; nothing else can happen before it."""
    word = connection.recv()
    if not isinstance(word, dict):
        raise InterruptedError("asked to close before there was a scheduler")
    return str(word["scheduler"])


def _run(configuration: dict[str, Any], connection: Connection[Any, Any], start: Starter) -> None:
    os.setpgid(0, 0)
    redirect_output(configuration["log"])
    # A terminal's Ctrl-C is not ours to obey, and SIGTERM means a close in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _configure(configuration["dask"])
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(configuration, connection, start))


def _configure(told: dict[str, Any]) -> None:
    """Take over a part of Dask's configuration; what a person lets Dask preload here stays, after what we do."""
    import dask.config

    for role, settings in told.get("distributed", {}).items():
        if "preload" in settings:
            theirs = dask.config.get(f"distributed.{role}.preload")
            settings["preload"] += [theirs] if isinstance(theirs, str) else theirs
    dask.config.update(dask.config.config, told)


async def _serve(configuration: dict[str, Any], connection: Connection[Any, Any], start: Starter) -> None:
    loop = asyncio.get_running_loop()
    closing = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, closing.set)
    parent = multiprocessing.parent_process()
    assert parent is not None
    for descriptor in connection.fileno(), parent.sentinel:
        loop.add_reader(descriptor, _close_once, descriptor, closing)
    try:
        role, about = await start(configuration)
    except Exception as error:  # noqa: BLE001 - the parent passes it on, whatever it is
        connection.send({"failed": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()})
        return
    with contextlib.suppress(OSError):
        connection.send(about)
    finished = loop.create_task(role.finished())
    asked = loop.create_task(closing.wait())
    await asyncio.wait({finished, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not finished.done():
        logging.getLogger(__name__).info("closing, since the parent asked for it or is gone")
        await role.close()
    finished.cancel()


def _close_once(descriptor: int, closing: asyncio.Event) -> None:
    """Nobody reads what made it readable: a loop that went on asking would be busy for as long as the close takes."""
    asyncio.get_running_loop().remove_reader(descriptor)
    closing.set()
