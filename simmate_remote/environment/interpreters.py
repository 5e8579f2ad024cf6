"""An interpreter of our minor version on a host that has none: fetched there, or fetched here and sent."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from simmate_remote.environment.sending import Parcel, Progress, send
from simmate_remote.environment.shell import Shell
from simmate_remote.environment.store import WheelStore
from simmate_remote.environment.survey import MINOR, Survey
from simmate_remote.environment.uv import fetch_python
from simmate_remote.errors import Remedy, RemotePythonError

INSTALL_TIMEOUT = 330.0
"""Seconds; the script gives a download there 300."""


def install_python(
    shell: Shell, survey: Survey, uv: str, store: WheelStore, *, step: Callable[[str], object], progress: Progress
) -> str:
    """Install an interpreter below our folder.

    Args:
        shell: Runs scripts there.
        survey: What the host is.
        uv: Version of the uv that was sent there.
        store: Where archives are kept.
        step: Told what is being done.
        progress: Told how far sending is.

    Returns:
        The interpreter's path there.

    Raises:
        RemotePythonError: Neither way is possible; with what is missing.
        SetupError: It could not be written there.
        LinkError: The link was lost.
    """
    step(f"Python {MINOR} is missing there: fetching it there")
    answer = shell.run("python", seconds=INSTALL_TIMEOUT, minor=MINOR, uv=uv, archive="")
    if found := answer.value("found"):
        return found
    there = answer.errors.strip().splitlines()[-1:] or ["it gave no reason"]
    step(f"Python {MINOR} is missing there: fetching it here")
    archive = fetch_python(MINOR, survey.platform, store)
    if isinstance(archive, str):
        raise no_python(shell, survey, f"fetching it there: {there[0]}\nfetching it here:  {archive}")
    parcel = Parcel.of(archive, f"pythons/{archive.name}")
    step(f"sending Python {MINOR}")
    send(shell, [parcel], progress)
    answer = shell.run("python", seconds=INSTALL_TIMEOUT, minor=MINOR, uv=uv, archive=parcel.place)
    if found := answer.value("found"):
        return found
    raise no_python(shell, survey, "\n".join([*answer.values("said"), answer.errors]))


def wrong_python(shell: Shell, survey: Survey, named: str) -> RemotePythonError:
    """Say that the interpreter or environment that was named does not fit; what a person has chosen is not replaced."""
    others = ", ".join(f"{each.path} is {each.version}" for each in survey.interpreters) or "it gave no version"
    host = shlex.quote(shell.host)
    return RemotePythonError(
        f"`{named}` was named, and is no Python {MINOR} ({others})",
        host=shell.host,
        meanwhile="no other one was looked for, and the environment that was there before, if any, is as it was",
        remedies=(
            Remedy(f"simmate-remote hosts show {host}", "without `python:` a Python is found there, or brought"),
            Remedy(f"simmate-remote setup {host} --python PATH", f"PATH is a Python {MINOR} there"),
        ),
    )


def no_python(shell: Shell, survey: Survey, detail: str) -> RemotePythonError:
    """Say that there is no interpreter of our minor version, and what there is instead."""
    others = ", ".join(f"{each.path} is {each.version}" for each in survey.interpreters) or "no Python was found"
    host = shlex.quote(shell.host)
    return RemotePythonError(
        f"there is no Python {MINOR} there, and none could be brought ({others})",
        host=shell.host,
        meanwhile="the environment that was there before, if any, is as it was",
        remedies=(
            Remedy(f"simmate-remote setup {host} --python PATH", f"PATH is a Python {MINOR} there that was not found"),
            Remedy(f"simmate-remote setup {host}", "where this machine has internet: fetches one here, and sends it"),
        ),
        detail=detail,
    )
