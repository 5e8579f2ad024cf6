"""A box as a host of the inventory."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from simmate_remote.inventory import Duration, Host, Keepalive, Workers
from simmate_remote.session.client import find
from tests.boxes import Box

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def host_of(box: Box, *, workers: dict[str, Any] | None = None, **fields: Any) -> Host:
    """Describe a box as the inventory would: two small workers, and a keepalive that tests can wait for."""
    return Host(
        **{
            "name": "lab-box",
            "ssh": box.alias,
            "ssh_config": box.ssh_config,
            "python": box.python,
            "workers": Workers(**{"count": 2, "threads": 1, **(workers or {})}),
            "keepalive": Keepalive(interval=Duration(2), tries=2),
            **fields,
        }
    )


def end_session(host: Host) -> None:
    """End the session of a host, and everything that it has there."""
    _stop_session(host, end_everything=True)


def leave_session(host: Host) -> None:
    """End the session of a host, and leave there what it has."""
    _stop_session(host, end_everything=False)


def _stop_session(host: Host, *, end_everything: bool) -> None:
    async def end() -> None:
        session = await find(host)
        await session.stop(end_everything=end_everything)
        session.close()
        await session.wait_closed()

    asyncio.run(end())


def travels(function: FunctionT) -> FunctionT:
    """Let a test's function travel whole, as one typed at a prompt does: the host has no module of the test's name."""
    function.__module__ = "__main__"
    return function


def session_pid(host: Host) -> int:
    """Ask the session of a host for its process id."""
    return int(_status_of_session(host)["pid"])


def session_lasts(host: Host) -> bool:
    """Ask the session of a host whether it outlives its maker."""
    return bool(_status_of_session(host)["lasting"])


def _status_of_session(host: Host) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        session = await find(host)
        try:
            return await session.status()
        finally:
            session.close()
            await session.wait_closed()

    return asyncio.run(ask())


def pid_there(host: Host, name: str) -> int:
    """Ask the session of a host for the id of a process there, by what ``simmate-remote ps`` calls it."""

    async def ask() -> int:
        session = await find(host)
        try:
            return next(int(each["pid"]) for each in (await session.there())["processes"] if each["name"] == name)
        finally:
            session.close()
            await session.wait_closed()

    return asyncio.run(ask())


def wait_until(condition: Callable[[], object], seconds: float, what: str, *, pace: float = 0.05) -> None:
    """Wait for something that another process does, but not for ever."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(pace)


def shut(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Let nobody enter a folder; root could, whatever its mode."""

    def refusing(function: Callable[..., Any], *, itself: bool) -> Callable[..., Any]:
        def call(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            place = None if isinstance(path, int) else Path(os.fsdecode(path))
            if place is not None and (folder in place.parents or (itself and place == folder)):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
            return function(path, *arguments, **options)

        return call

    patch.setattr(os, "stat", refusing(os.stat, itself=False))
    patch.setattr(os, "listdir", refusing(os.listdir, itself=True))
