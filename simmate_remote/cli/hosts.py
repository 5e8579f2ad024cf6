"""``simmate-remote hosts``: the hosts that are known."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simmate_remote.cli.output import JsonOption, emit, err, note, safe, table
from simmate_remote.errors import HostFileError, InventoryError, Remedy

if TYPE_CHECKING:
    from simmate_remote.inventory import Host, HostEntry
    from simmate_remote.inventory.trust import FolderContent

app = typer.Typer(
    help="The hosts that are known.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the host is called.")]

_STATES = {
    "ready": "green",
    "shadowed": "dim",
    "untrusted": "yellow",
    "changed": "yellow",
    "wrong": "red",
}


def _source(path: Path | None) -> str:
    from simmate_remote.inventory.host_file import shown

    return "ssh's configuration" if path is None else shown(path)


@app.command("list")
def list_hosts(as_json: JsonOption = False) -> None:
    """List every host, where it comes from, and whether it can be used."""
    from simmate_remote import inventory

    entries = inventory.list_hosts()
    rows = [
        {
            "name": entry.name,
            "ssh": entry.host.ssh if entry.host else None,
            "source": entry.source,
            "state": entry.state,
            "problem": entry.problem,
        }
        for entry in entries
    ]
    emit(rows, human=lambda: _print_entries(entries), as_json=as_json)


def _print_entries(entries: list[HostEntry]) -> None:
    from simmate_remote.cli.output import out

    if not entries:
        note("There is no host yet.\n  next:      simmate-remote hosts add NAME --ssh ADDRESS")
        return
    rows = [
        (
            entry.name,
            entry.host.ssh if entry.host else None,
            safe(entry.state, _STATES[entry.state]),
            _source(entry.source),
        )
        for entry in entries
    ]
    out.print(table(("host", "ssh", "state", "from"), rows))
    for entry in entries:
        if entry.problem:
            note(entry.problem)
    if any(entry.state in ("untrusted", "changed") for entry in entries):
        note("  next:      simmate-remote hosts trust    (shows what ./hosts says, and asks)")


@app.command()
def show(name: Name, as_json: JsonOption = False) -> None:
    """Show all that is known of one host, defaults included."""
    from simmate_remote import inventory

    host = inventory.load_host(name)
    emit(host, human=table((host.name, _source(host.source), ""), _describe(host)), as_json=as_json)


def _describe(host: Host) -> list[tuple[str, Any, str]]:
    every = host.model_dump(mode="json", exclude={"name", "source"})
    given = host.model_dump(mode="json", exclude={"name", "source"}, exclude_defaults=True)
    rows = []
    for field, value in every.items():
        section = field in ("workers", "keepalive")
        entries, given_entries = (value, given.get(field, {})) if section else ({field: value}, given)
        for key, entry in entries.items():
            said = "" if key in given_entries else "default"
            shown = "\n".join(f"{name}={each}" for name, each in entry.items()) if isinstance(entry, dict) else entry
            rows.append((f"{field}.{key}" if section else field, shown or None, said))
    return rows


@app.command()
def add(
    name: Name,
    ssh: Annotated[str, typer.Option(metavar="ADDRESS", help="What you would type after `ssh`.")],
    ssh_config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An ssh_config file to use instead of ~/.ssh/config.")
    ] = None,
    folder: Annotated[
        str | None, typer.Option(metavar="PATH", help="Where our files live there [default: ~/simmate-remote].")
    ] = None,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="An interpreter there, or an environment's folder.")
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="COUNT", help="How many workers.")] = None,
    threads: Annotated[int | None, typer.Option(metavar="COUNT", help="Threads of each worker.")] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory of each worker, such as '8 GiB'.")] = None,
    environment: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A variable for the workers; may be repeated.")
    ] = None,
    resource: Annotated[
        list[str] | None, typer.Option(metavar="NAME=AMOUNT", help="A resource of each worker; may be repeated.")
    ] = None,
    lease: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long the host keeps things alone, such as '12 h'.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a host of this name.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Describe a host in a file of your own inventory."""
    from simmate_remote import inventory

    crew = {
        "count": workers,
        "threads": threads,
        "memory": memory,
        "environment": dict(_pair(name, "--environment", text) for text in environment or ()),
        "resources": dict(_amount(name, text) for text in resource or ()),
    }
    fields = {
        "ssh": ssh,
        "ssh_config": ssh_config.expanduser().absolute() if ssh_config else None,
        "folder": folder,
        "python": python,
        "workers": {key: value for key, value in crew.items() if value not in (None, {})},
        "lease": lease,
    }
    for option, path in (("--folder", folder), ("--python", python)):
        home = str(Path.home())
        if path is not None and path.startswith(f"{home}/"):
            meant = shlex.quote(f"~{path.removeprefix(home)}")
            note(f"{option} begins at the home here, {home}, as `~` does without quotes; {meant} is in the home there")
    host = inventory.add_host(name, force=force, **{key: value for key, value in fields.items() if value is not None})
    emit(host, human=f"{host.name} is described in {_source(host.source)}", as_json=as_json)
    winner = next((entry for entry in inventory.list_hosts() if entry.name == host.name), None)
    if winner is not None and winner.source != host.source:
        note(f"In this folder {_source(winner.source)} comes first.")


def _pair(host: str, option: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise _misread(host, f"{option}: expected NAME=VALUE, found {text!r}")
    return key, value


def _amount(host: str, text: str) -> tuple[str, float]:
    key, amount = _pair(host, "--resource", text)
    try:
        return key, float(amount)
    except ValueError as error:
        raise _misread(host, f"--resource: expected NAME=AMOUNT with a number, found {text!r}") from error


def _misread(host: str, what: str) -> InventoryError:
    return InventoryError(
        what, host=host, meanwhile="nothing was written", remedies=(Remedy("simmate-remote hosts add --help"),)
    )


@app.command()
def remove(name: Name, as_json: JsonOption = False) -> None:
    """Delete a host's file from your own inventory."""
    from simmate_remote import inventory

    path = inventory.remove_host(name)
    emit({"name": name, "removed": path}, human=f"{_source(path)} is deleted", as_json=as_json)


@app.command()
def trust(
    folder: Annotated[Path, typer.Argument(help="The folder that contains `hosts`.")] = Path(),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Trust the folder no longer.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Believe the `hosts` folder of a checkout, as long as no file in it changes."""
    from simmate_remote import inventory
    from simmate_remote.inventory.trust import read_folder, record_trust

    path = inventory.find_checkout_folder(folder)
    if withdraw:
        inventory.distrust_folder(path)
        emit({"folder": path, "trusted": False}, human=f"{_source(path)} is not trusted any more", as_json=as_json)
        return
    content = read_folder(path)
    if not yes:
        _preview(content)
        _ask(path)
    # What was shown is what is recorded: the files are not read again.
    record_trust(content)
    emit({"folder": path, "trusted": True}, human=f"{_source(path)} is trusted as it is now", as_json=as_json)


def _preview(content: FolderContent) -> None:
    from simmate_remote.inventory.host_file import read_host

    note(f"{_source(content.folder)} says:")
    rows: list[tuple[object, ...]] = []
    for name in sorted(content.files):
        path = content.folder / name
        host: Host | None = None
        if path.parent == content.folder and path.suffix in (".yaml", ".yml"):
            try:
                host = read_host(path, content=content.files[name], own_files=content.files)
            except HostFileError as error:
                note(str(error))
        rows.append((name, host and host.ssh, host and host.ssh_config, host and host.python))
    err.print(table(("file", "ssh", "ssh_config", "python"), rows))
    note(
        "An ssh_config can start programs on this machine, and results of a host are unpickled on it. "
        "Trust the folder if you trust whoever wrote it."
    )


def _ask(path: Path) -> None:
    if not sys.stdin.isatty():
        raise InventoryError(
            f"{_source(path)} was not trusted: nobody can be asked without a terminal",
            remedies=(Remedy("simmate-remote hosts trust --yes", "after reading the files"),),
        )
    if not typer.confirm("Trust it, until a file in it changes?", err=True):
        raise typer.Exit(1)


@app.command()
def schema(as_json: JsonOption = True) -> None:  # noqa: ARG001 - it is JSON in any case
    """Print the JSON Schema of a host's file, for editors."""
    from simmate_remote import inventory

    emit(inventory.json_schema(), as_json=True)
