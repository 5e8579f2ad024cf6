"""``setup``: the environment of hosts, made equal to the one here, on several hosts at once."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from simmate_remote.cli.output import JsonOption, emit, plain, print_error
from simmate_remote.cli.setup_progress import SetupProgress
from simmate_remote.cli.setup_report import print_removed, print_setup
from simmate_remote.environment import setup as environment_setup
from simmate_remote.environment.local import installed
from simmate_remote.environment.setup import SetupReport, Supply, Wish
from simmate_remote.environment.store import WheelStore
from simmate_remote.errors import Remedy, SetupError, SimmateRemoteError, error_to_dict
from simmate_remote.inventory import Host, load_host


def setup(
    hosts: Annotated[
        list[str], typer.Argument(metavar="HOST...", help="Hosts that `simmate-remote hosts list` shows.")
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Only say what differs; the exit code is 1 if anything does.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take away all that setup has put there.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Only this distribution, and what it requires. May be repeated."),
    ] = None,
    extra: Annotated[
        list[str] | None,
        typer.Option("--extra", metavar="REQUIREMENT", help="Something more, as pip takes it. May be repeated."),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(
            "--python", metavar="PATH", help="A Python on the host, or an environment's folder, to start from."
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Install a key without asking, where the login takes a password.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the Python environment on hosts equal to the one here.

    Wheels are collected on this machine and sent over SSH: a host needs no internet. What is there already stays as it
    is, and keeps working if this is interrupted; a second run takes seconds.
    """
    wish = Wish(tuple(only or ()), tuple(extra or ()), python, agreed=yes)
    action = "check" if check else "remove" if remove else "make"
    if check and remove:
        raise SetupError("--check and --remove are two different wishes", meanwhile="nothing was contacted")
    found = [(name, load_host(name)) for name in dict.fromkeys(hosts)]
    outcomes = asyncio.run(_all([host for _, host in found], action, wish))
    data = [plain(each) if isinstance(each, SetupReport) else error_to_dict(each) for each in outcomes]
    emit(data, human=lambda: _print(outcomes, action), as_json=as_json)
    differs = action == "check" and any(isinstance(each, SetupReport) and each.difference for each in outcomes)
    if differs or not all(isinstance(each, SetupReport) for each in outcomes):
        raise typer.Exit(1)


async def _all(hosts: list[Host], action: str, wish: Wish) -> list[SetupReport | SimmateRemoteError]:
    """Do it on all hosts at once; one that fails stops no other."""
    supply = Supply(installed(), WheelStore())
    with SetupProgress([host.name for host in hosts]) as progress:
        return await asyncio.gather(*(_one(host, action, wish, supply, progress) for host in hosts))


async def _one(
    host: Host, action: str, wish: Wish, supply: Supply, progress: SetupProgress
) -> SetupReport | SimmateRemoteError:
    feedback = progress.feedback(host.name)
    try:
        match action:
            case "check":
                return await environment_setup.check(host, wish, supply, feedback)
            case "remove":
                return await environment_setup.remove(host, feedback)
        return await environment_setup.set_up(host, wish, supply, feedback)
    except SimmateRemoteError as error:
        error.host = error.host or host.name
        return error
    except OSError as error:
        return SetupError(
            f"something went wrong on this machine: {error}",
            host=host.name,
            meanwhile="the environment that was there before, if any, is as it was",
            remedies=(Remedy("simmate-remote doctor", "looks at disk and folders here"),),
        )
    finally:
        progress.done(host.name)


def _print(outcomes: list[SetupReport | SimmateRemoteError], action: str) -> None:
    for each in outcomes:
        if isinstance(each, SimmateRemoteError):
            print_error(each, as_json=False, debug=False)
        elif action == "remove":
            print_removed(each)
        else:
            print_setup(each, made=action == "make")
