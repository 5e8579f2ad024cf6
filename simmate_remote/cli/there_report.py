"""What a keeper says of itself, for people: the page that ``ps`` prints."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from rich.filesize import decimal

from simmate_remote.cli.output import out, safe, table
from simmate_remote.cli.reports import since
from simmate_remote.inventory.quantities import Duration


def print_there(data: dict[str, Any]) -> None:
    """Print what is ours on a host.

    Args:
        data: What ``ps --json`` prints.
    """
    if data["running"]:
        out.print(safe(f"{data['host']}: ", "bold") + safe(f"{data['hostname']}, since {since(data['since'])}"))
        for name, value in _facts(data):
            out.print(safe(f"  {name + ':':<10} {value}"), soft_wrap=True)
        out.print(table(("process", "pid", "since", "memory", "cpu"), map(_row, data["processes"])))
    elif not data["elsewhere"]:
        out.print(safe(f"{data['host']}: {data['said']}"), soft_wrap=True)
    for each in data["elsewhere"]:
        place = f"{each['hostname']} ({each['address']})" if each["address"] else each["hostname"]
        out.print(
            safe(f"{data['host']}: {place} has a keeper of ours, too, since {since(each['since'])}"), soft_wrap=True
        )


def _facts(data: dict[str, Any]) -> Iterable[tuple[str, str]]:
    work = data["work"]
    yield "tasks", f"{work['unfinished']} unfinished, {work['finished']} done, {work['erred']} failed"
    length = Duration(data["lease"])
    if data["lease_ends"] is None:
        why = "somebody is connected" if any(each["carriers"] for each in data["sessions"]) else "work is unfinished"
        yield "lease", f"{length}, not counting down: {why}"
    else:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(data["lease_ends"]))
        yield "lease", f"{length}; everything ends at {moment} unless somebody connects"
    for each in data["sessions"]:
        origin = f"from {each['from']}, " if each["from"] else ""
        if each["lost_since"] is None:
            yield "session", f"{origin}since {since(each['since'])}"
        else:
            yield "session", f"{origin}without a connection since {since(each['lost_since'])}"


def _row(process: dict[str, Any]) -> tuple[object, ...]:
    name = process["name"] or process["command"]
    return name, process["pid"], since(process["since"]), decimal(process["memory"]), f"{process['cpu']:.1f} s"
