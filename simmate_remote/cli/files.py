"""``push`` and ``pull``: files to a host and from it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Any

import typer

from simmate_remote.cli.files_progress import FilesProgress, size_in_words
from simmate_remote.cli.output import JsonOption, emit, note, out, safe
from simmate_remote.cli.sessions import HostName
from simmate_remote.cli.steps import Steps
from simmate_remote.files.host.order import Order
from simmate_remote.files.transfer import USUAL_TO, Outcome, transfer
from simmate_remote.inventory import load_host

DryRunOption = Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be copied.")]
ChecksumOption = Annotated[
    bool, typer.Option("--checksum", "-c", help="Compare files of the same size by their content, not by their time.")
]


def push(
    host: HostName,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and folders here.")],
    to: Annotated[str, typer.Option(metavar="FOLDER", help="The folder there that they go into.")] = USUAL_TO["push"],
    dry_run: DryRunOption = False,
    checksum: ChecksumOption = False,
    as_json: JsonOption = False,
) -> None:
    """Copy files and folders to a host: what is new or has changed, and nothing else.

    A folder is copied as itself; `FOLDER/.` is what is in it. Nothing is ever deleted there. Examples:

        simmate-remote push lab-box Si.cif inputs

        simmate-remote push lab-box inputs/. --to scratch/run-7
    """
    _transfer(host, Order("push", tuple(paths), to, dry_run, checksum), as_json)


def pull(
    host: HostName,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and folders there, from the home on.")],
    to: Annotated[str, typer.Option(metavar="FOLDER", help="The folder here that they go into.")] = USUAL_TO["pull"],
    dry_run: DryRunOption = False,
    checksum: ChecksumOption = False,
    as_json: JsonOption = False,
) -> None:
    """Copy files and folders from a host: what is new or has changed, and nothing else.

    A folder is copied as itself; `FOLDER/.` is what is in it. Wildcards in quotes mean files there. Nothing is ever
    deleted here. Examples:

        simmate-remote pull lab-box 'run-7/*.out'

        simmate-remote pull lab-box /scratch/me/run-7 --to results
    """
    _transfer(host, Order("pull", tuple(paths), to, dry_run, checksum), as_json)


def _transfer(name: str, order: Order, as_json: bool) -> None:
    show_transfer(name, run_transfer(name, order), as_json)


def run_transfer(name: str, order: Order) -> Outcome:
    """Copy files, and show how it goes.

    Args:
        name: The host's.
        order: What is copied, and where to.
    """
    return asyncio.run(_run(name, order))


def show_transfer(name: str, outcome: Outcome, as_json: bool) -> None:
    """Print what a transfer has done, and exit with 1 if a file could not be copied."""
    emit(_plain(name, outcome), human=lambda: _show(name, outcome), as_json=as_json)
    if outcome.tally.failed:
        raise typer.Exit(1)


async def _run(name: str, order: Order) -> Outcome:
    host = load_host(name)
    with contextlib.ExitStack() as connecting:
        steps = connecting.enter_context(Steps())
        with FilesProgress(connecting.close) as progress:
            try:
                return await transfer(host, order, ask=steps.ask, step=steps, watch=progress)
            except asyncio.CancelledError:
                note(f"{name}: broken off; what is complete stays, and the same command goes on from there")
                raise


def _plain(name: str, outcome: Outcome) -> dict[str, Any]:
    order, tally = outcome.order, outcome.tally
    return {
        "host": name,
        "direction": order.direction,
        "to": order.to,
        "dry_run": order.dry_run,
        "files": tally.files,
        "unchanged": tally.unchanged,
        "links": tally.links,
        "folders": tally.folders,
        "bytes": tally.travelled,
        "seconds": outcome.seconds,
        "failed": tally.failed,
        "problems": [problem._asdict() for problem in tally.problems],
        "would": [{"path": path, "size": size} for path, size in tally.would],
    }


def _show(name: str, outcome: Outcome) -> None:
    order, tally = outcome.order, outcome.tally
    for path, size in tally.would:
        out.print(safe(f"{size:>15,}  {_in_a_line(path)}"), soft_wrap=True)
    for problem in tally.problems:
        note(f"{_in_a_line(problem.path)}: {_in_a_line(problem.what)}")
    if untold := tally.failed + tally.noted - len(tally.problems):
        note(f"and {untold:,} more such files")
    copied = {"push": "sent", "pull": "fetched"}[order.direction]
    parts = [f"{_count(tally.files, 'file')} {'would be ' if order.dry_run else ''}{copied}"]
    parts[0] += f" ({size_in_words(tally.travelled)})"
    parts += [f"{tally.unchanged:,} unchanged"] if tally.unchanged else []
    parts += [_count(number, word) for number, word in ((tally.links, "link"), (tally.folders, "new folder")) if number]
    parts += [f"{tally.failed:,} failed"] if tally.failed else []
    out.print(safe(f"{name}: {', '.join(parts)}, {outcome.seconds:.1f} s"), soft_wrap=True)


def _in_a_line(text: str) -> str:
    """Show a name that the other end has chosen in one line, whatever it holds: it could look like words of ours."""
    return text.replace("\n", "\\n")


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
