"""The command line: which commands there are, and what becomes of an error.

A command's module is imported when the command is used, so that ``--help`` and completion answer at once.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import sys
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Command(NamedTuple):
    target: str
    help: str


COMMANDS = {
    "hosts": _Command("simmate_remote.cli.hosts:app", "The hosts that are known: list, show, add, remove, trust."),
    "setup": _Command("simmate_remote.cli.setup:setup", "Make the Python environment on hosts equal to the one here."),
    "connect": _Command("simmate_remote.cli.connect:connect", "Log in to a host once, and start its cluster."),
    "disconnect": _Command("simmate_remote.cli.connect:disconnect", "Leave a host."),
    "status": _Command("simmate_remote.cli.connect:status", "What is connected, since when, and what it does."),
    "run": _Command("simmate_remote.cli.run:run", "Run a function of yours on a host."),
    "runs": _Command("simmate_remote.cli.runs:app", "What became of each run, anywhere, and what to do about it."),
    "push": _Command("simmate_remote.cli.files:push", "Copy files to a host: what is new or has changed."),
    "pull": _Command("simmate_remote.cli.files:pull", "Copy files from a host: what is new or has changed."),
    "workflows": _Command("simmate_remote.cli.workflows:app", "The workflows that there are: list, show."),
    "database": _Command("simmate_remote.cli.database:app", "The database that runs and results are kept in."),
    "dashboard": _Command("simmate_remote.cli.watch:dashboard", "Open the Dask dashboard of a host in the browser."),
    "logs": _Command("simmate_remote.cli.watch:logs", "Print the output of a host's scheduler and workers."),
    "ps": _Command("simmate_remote.cli.there:ps", "List what is ours on a host, and what it uses."),
    "doctor": _Command(
        "simmate_remote.cli.doctor:doctor", "Say what is wrong with a host, or here, and what mends it."
    ),
    "down": _Command("simmate_remote.cli.there:down", "End everything that is ours on a host."),
    "demo": _Command("simmate_remote.cli.demo:demo", "Compute seven metals on a host inside this program."),
}
"""Each command's function, and its line of help; the help is here so that listing them imports nothing."""


class CommandsOnDemand(TyperGroup):
    """A group that imports a command's module when the command is used."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, command in COMMANDS.items():
            self.add_command(TyperCommand(name, help=command.help), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the real command in place of its line of help."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name in COMMANDS else command, rest


def load_command(name: str) -> Any:
    """Import a command.

    Args:
        name: One of ``COMMANDS``.

    Returns:
        The command, or group of commands, as typer runs it.
    """
    module, _, attribute = COMMANDS[name].target.partition(":")
    # Imports leave nothing to collect, and looking for it, then and at the end, is a sixth of a short command's time.
    gc.disable()
    try:
        target = getattr(importlib.import_module(module), attribute)
    finally:
        gc.freeze()
        gc.enable()
    if not isinstance(target, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        # The docstring's Args are for readers of the code; options carry their own help.
        single.command(name, help=(inspect.getdoc(target) or COMMANDS[name].help).partition("\nArgs:")[0])(target)
        target = single
    command = typer.main.get_command(target)
    command.name = name
    return command


app = typer.Typer(
    name="simmate-remote",
    cls=CommandsOnDemand,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from simmate_remote.version import __version__

        typer.echo(f"simmate-remote {__version__}")
        raise typer.Exit


@app.callback()
def simmate_remote(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """A distant computer that feels near: Dask, dashboards and workflows over one SSH login."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line and exit: with 0; 1 after an error, 2 if it cannot be understood, 130 after Ctrl-C.

    Args:
        arguments: What stands after ``simmate-remote``; default: this process' own.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = words[: words.index("--")] if "--" in words else words
    try:
        app(args=words, prog_name="simmate-remote")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - whatever it is, a user gets a message and not a traceback
        from simmate_remote.cli.output import print_error

        print_error(error, as_json="--json" in options, debug="--debug" in options)
        sys.exit(1)
