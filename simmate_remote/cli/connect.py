"""``connect``, ``status`` and ``disconnect``: the life of a session."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Any

import typer

from simmate_remote.cli.output import JsonOption, emit, err, note
from simmate_remote.cli.reports import describe_event, print_session, sessions_table, since
from simmate_remote.cli.sessions import PATIENCE, HostName, all_sessions, report_of, session_of
from simmate_remote.cli.steps import Steps
from simmate_remote.errors import NoSessionError, Remedy, SessionStoppedError, error_from_dict
from simmate_remote.inventory import Host, load_host
from simmate_remote.inventory.quantities import Duration
from simmate_remote.session.join import join, undone_on_failure

PATIENCE_FOR_NEWS = 5.0
"""Seconds to wait until it is known here what became of runs meanwhile."""

PATIENCE_FOR_END = 60.0
"""Seconds for a session to end, and everything on the host with it, before its process is killed."""


def connect(
    host: HostName,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay here; Ctrl-C then ends everything on the host.")
    ] = False,
    here: Annotated[
        bool,
        typer.Option("--here", help="Start afresh where the login leads, even if another node has the rest."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Log in to a host once, and start its scheduler and workers.

    The connection lasts: it goes on when this command has ended and its terminal is closed, until
    `simmate-remote disconnect`.
    """
    asyncio.run(_connect(load_host(host), foreground, here, as_json))


async def _connect(host: Host, foreground: bool, here: bool, as_json: bool) -> None:
    with Steps() as steps:
        # It lasts from when all is there, and not before: a Ctrl-C up to then ends what was begun.
        session = await join(host, lasting=False, here=here, ask=steps.ask, step=steps)
        async with undone_on_failure(session, steps):
            if session.started:
                steps("waiting for the workers")
            report = await session.status()
            report["away"] = await session.away()
            report["news"] = await session.news(PATIENCE_FOR_NEWS)
            if not foreground:
                await session.last()
                report["lasting"] = True
    following = (
        (f"simmate-remote run FILE.py:FUNCTION --on {host.name}", "runs a function there"),
        (f"simmate-remote dashboard {host.name}", "shows what it does"),
        (f"simmate-remote disconnect {host.name}", "leaves it; with --stop, nothing stays there"),
    )
    if not session.started:
        note(f"{host.name} is connected since {since(report['since'])}, and stays so")
    data = {**report, "already": not session.started}
    emit(data, human=lambda: print_session(report, following), as_json=as_json)
    if foreground:
        if session.started:
            note("Ctrl-C ends everything on the host.")
        else:
            note("Ctrl-C ends this command only: the connection was there before it.")
        async with undone_on_failure(session, lambda _: note("ending everything there …")):
            raise await session.wait_stopped()
    session.close()


def status(
    host: Annotated[str | None, typer.Argument(metavar="HOST", help="Only this host, with all details.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is connected, since when, and what it does.

    Without HOST: a table of all connections; it is no error if there are none. With HOST: all about one, and exit
    code 1 if nothing is connected to it.
    """
    asyncio.run(_status_of_one(host, as_json) if host else _status_of_all(as_json))


async def _status_of_one(name: str, as_json: bool) -> None:
    session = await session_of(name)
    report = await report_of(session)
    session.close()
    emit(report, human=lambda: print_session(report), as_json=as_json)


async def _status_of_all(as_json: bool) -> None:
    reports = []
    for session, report in await all_sessions():
        session.close()
        reports.append(report)
    if not reports and not as_json:
        note("Nothing is connected.\n  next:      simmate-remote connect HOST")
        return
    emit(reports, human=sessions_table(reports), as_json=as_json)
    for report in reports:
        for event in report.get("events", ()):
            note(f"{report['host']}: {describe_event(event)}")
        for warning in report.get("warnings", ()):
            note(f"{report['host']}: {warning}")
        if report["error"]:
            note(str(error_from_dict(report["error"])))


def disconnect(
    host: HostName,
    stop: Annotated[bool, typer.Option("--stop", help="End everything on the host, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Leave a host.

    What runs there goes on for as long as the host's lease, and `connect` finds it again. With --stop it ends. It is
    no error if nothing was connected, except with --stop, which then cannot end anything.
    """
    asyncio.run(_disconnect(host, stop, as_json))


async def _disconnect(name: str, stop: bool, as_json: bool) -> None:
    try:
        session = await session_of(name)
    except NoSessionError as error:
        if stop:
            raise NoSessionError(
                "nothing is connected to this host, so nothing can be ended there",
                host=name,
                meanwhile="what an earlier connection left there ends by itself, after the host's lease",
                remedies=(Remedy(f"simmate-remote down {name}", "logs in there, and ends what it finds"),),
            ) from error
        emit({"host": name, "disconnected": False}, human=f"{name}: nothing was connected", as_json=as_json)
        return
    report = await report_of(session)
    ended, killed = False, False
    with err.status("ending everything there …" if stop or report.get("lasting") is False else "leaving …"):
        with contextlib.suppress(SessionStoppedError):
            try:
                async with asyncio.timeout(PATIENCE if report["state"] == "silent" else PATIENCE_FOR_END):
                    # Without --stop the session decides: it knows what is meant to last, and may just be slow to say.
                    ended = await session.stop(end_everything=True if stop else None)
                    await session.wait_closed()
            except TimeoutError:
                session.kill()
                killed = True
        await session.wait_closed()
    session.close()
    data = {"host": name, "disconnected": True, "ended": ended, "killed": killed, "lasting": report.get("lasting")}
    text = _killed(name) if killed else _left(name, report, stop, ended)
    emit(data, human=text, as_json=as_json)


def _killed(name: str) -> str:
    return (
        f"{name}: the session did not answer, and was killed\n"
        "  meanwhile: nobody told the host: what runs there goes on for as long as its lease\n"
        f"  next:      simmate-remote connect {name}    (finds it again)\n"
        f"  next:      simmate-remote down {name}    (ends it)"
    )


def _left(name: str, report: dict[str, Any], stop: bool, ended: bool) -> str:
    if ended:
        return f"{name}: left; nothing of ours runs there any more"
    if "workers" not in report and report["state"] != "silent":
        return f"{name}: it was {report['state']}; that is given up"
    if stop or report.get("lasting") is False:
        return (
            f"{name}: left, but the host could not be told to end everything\n"
            f"  meanwhile: it does so by itself after its lease, which counts from when it was last reached\n"
            f"  next:      simmate-remote down {name}    (ends it, as soon as the host can be reached again)"
        )
    lease = Duration(report["lease"]) if "lease" in report else "its lease"
    return (
        f"{name}: left\n"
        f"  meanwhile: scheduler and workers stay for {lease} and then end by themselves;\n"
        "             Dask drops what only a client has asked for, and keeps what is published or fire-and-forget\n"
        f"  next:      simmate-remote connect {name}    (finds all that again; then, `disconnect --stop` ends it)"
    )
