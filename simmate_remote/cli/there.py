"""``ps`` and ``down``: what is ours on a host, seen and ended from any machine, with a session here or without."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import socket
from collections.abc import AsyncIterator
from typing import Any

from simmate_remote.cli.output import JsonOption, emit, err, note
from simmate_remote.cli.sessions import PATIENCE, HostName, report_of
from simmate_remote.cli.steps import Steps
from simmate_remote.cli.there_report import print_there
from simmate_remote.errors import (
    KeeperElsewhereError,
    KeeperGoneError,
    NoSessionError,
    SessionStoppedError,
)
from simmate_remote.inventory import Host, load_host
from simmate_remote.session.client import SessionClient, find
from simmate_remote.session.visit import END_TIMEOUT, visit


def ps(host: HostName, as_json: JsonOption = False) -> None:
    """List what is ours on a host: processes, lease, unfinished tasks, and who is connected from where.

    Without a connection here, this logs in for a moment; it starts, holds and prolongs nothing there.
    """
    asyncio.run(_ps(load_host(host), as_json))


async def _ps(host: Host, as_json: bool) -> None:
    data: dict[str, Any] = {"host": host.name, "running": False, "said": None, "elsewhere": []}
    try:
        data |= {"running": True, **await _look(host)}
    except KeeperGoneError as error:
        data["said"] = error.what
    except KeeperElsewhereError as error:
        data |= {"said": error.what, "elsewhere": [{name: getattr(error, name) for name in (*error.further, "since")}]}
    emit(data, human=lambda: print_there(data), as_json=as_json)


def down(host: HostName, as_json: JsonOption = False) -> None:
    """End everything that is ours on a host, whoever started it, and from wherever.

    Asks nothing. It is no error if nothing is there.
    """
    asyncio.run(_down(load_host(host), as_json))


async def _down(host: Host, as_json: bool) -> None:
    data: dict[str, Any] = {"host": host.name, "ended": False, "said": None, "report": None}
    async with _session(host) as session:
        if session is not None:
            data |= await _end_with_session(session)
    if not data["ended"]:
        try:
            with Steps() as steps:
                async with visit(host, steps.ask, steps) as visiting:
                    data["report"] = await visiting.report()
                    steps("ending everything there")
                    await visiting.end_everything(f"`down`, by {getpass.getuser()} at {socket.gethostname()}")
                    data["ended"] = True
        except KeeperGoneError as error:
            data["said"] = error.what
    emit(data, human=_outcome(data), as_json=as_json)


async def _look(host: Host) -> dict[str, Any]:
    async with _session(host) as session:
        if session is not None and (await report_of(session))["state"] == "connected":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    return await session.there()
            note(f"{host.name}: the connection that is there does not answer; logging in once more")
    with Steps() as steps:
        async with visit(host, steps.ask, steps) as visiting:
            return await visiting.report()


async def _end_with_session(session: SessionClient) -> dict[str, Any]:
    """End the session that is here, and everything there if the host can be reached by it."""
    state = (await report_of(session))["state"]
    if state == "silent":
        return {}
    report = None
    if state == "connected":
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                report = await session.there()
    ended = False
    with err.status("ending everything there …"), contextlib.suppress(SessionStoppedError, TimeoutError):
        async with asyncio.timeout(END_TIMEOUT):
            ended = await session.stop(end_everything=True)
            await session.wait_stopped()
    return {"ended": ended, "report": report}


@contextlib.asynccontextmanager
async def _session(host: Host) -> AsyncIterator[SessionClient | None]:
    try:
        session = await find(host)
    except NoSessionError:
        yield None
        return
    try:
        yield session
    finally:
        session.close()


def _outcome(data: dict[str, Any]) -> str:
    name, report = data["host"], data["report"]
    if not data["ended"]:
        return f"{name}: nothing had to be ended: {data['said']}"
    if report is None:
        return f"{name}: everything there was ended"
    unfinished = report["work"]["unfinished"]
    lost = f", and {unfinished} unfinished task{'s' if unfinished > 1 else ''} with them" if unfinished else ""
    return f"{name}: {len(report['processes'])} processes on {report['hostname']} were ended{lost}"
