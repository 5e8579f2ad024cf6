"""``dashboard`` and ``logs``: what a host is doing."""

from __future__ import annotations

import asyncio
import sys
import webbrowser
from typing import Annotated

import typer

from simmate_remote.cli.log_printer import LogPrinter
from simmate_remote.cli.output import JsonOption, emit, emit_line, note, out
from simmate_remote.cli.sessions import HostName, report_of, session_of
from simmate_remote.errors import Remedy, SessionError
from simmate_remote.inventory.quantities import Size
from simmate_remote.inventory.runtime_folder import runtime_folder
from simmate_remote.session.launch_page import write_launch_page


def dashboard(
    host: HostName,
    print_only: Annotated[bool, typer.Option("--print", help="Print the link, and open nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Open the Dask dashboard of a host in the browser.

    The link holds a token that is as good as a password for the dashboard, until the connection ends.
    """
    link = asyncio.run(_link(host))
    opened = not print_only and webbrowser.open(write_launch_page(link, runtime_folder()).as_uri())
    if not print_only and not opened:
        note("No browser could be started here; open this link in one:")
    shown = f"the dashboard of {host} opens in the browser" if opened else link
    emit({"host": host, "dashboard": link, "opened": opened}, human=shown, as_json=as_json)


async def _link(name: str) -> str:
    session = await session_of(name)
    report = await report_of(session)
    session.close()
    if "dashboard" not in report:
        raise SessionError(
            f"there is no dashboard yet: the session is {report['state']}",
            host=name,
            since=report["since"],
            remedies=(Remedy(f"simmate-remote status {name}", "shows when it is connected"),),
        )
    return str(report["dashboard"])


def _size(text: str) -> Size:
    try:
        return Size.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--last") from error


def logs(
    host: HostName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this one, such as scheduler or worker-0; may be repeated."),
    ] = None,
    last: Annotated[str, typer.Option(metavar="SIZE", help="How much of each to begin with.")] = "100 kB",
    raw: Annotated[bool, typer.Option("--raw", help="Let control characters through to the terminal.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the output of a host's scheduler and workers, and of the tasks that they ran.

    On a terminal, control characters are shown as text, since they could change what you see; colours are lost by
    that, and --raw brings them back.
    """
    size = _size(last)
    printer = LogPrinter(sys.stdout, visible=out.is_terminal and not raw)

    def show(piece: dict[str, str]) -> None:
        emit_line(piece, human=lambda: printer.write(piece["name"], piece["text"]), as_json=as_json)

    async def read() -> int:
        session = await session_of(host)
        pieces = 0
        async for piece in session.logs(name, size, follow=follow):
            show(piece)
            pieces += 1
        session.close()
        return pieces

    try:
        pieces = asyncio.run(read())
    finally:
        printer.end()
    if not pieces:
        wanted = f" of {', '.join(name)}" if name else ""
        note(f"{host}: there is no output{wanted}\n  next:      simmate-remote status {host}    (names the workers)")
