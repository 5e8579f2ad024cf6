"""Versions here and there: what cannot work together is refused, what may not is said.

Functions travel as Python's byte code (cloudpickle), which changes with each minor version of Python; messages of
client, scheduler and workers have the form that one release of distributed gives them, and its releases are
numbered by year and month. Both must be equal. Other differences are common, and mostly harmless. Our own package is
not compared: it travels to the host at each connect, and so is the same at both ends.
"""

from __future__ import annotations

import shlex
import sys

from simmate_remote.errors import DistributedMissingError, Remedy, RemotePythonError, VersionMismatchError
from simmate_remote.keeper.host.bootstrap import versions

COMPARED = ("distributed", "dask", "cloudpickle", "msgpack", "numpy", "tornado")
SAME_RELEASE = ("distributed", "dask")
SAME_MAJOR = ("cloudpickle", "msgpack")


def here() -> dict[str, str | None]:
    """Give the versions of this process's environment."""
    return versions(COMPARED)


def compare(
    host: str, ssh: str, python: tuple[int, int, int], executable: str, there: dict[str, str | None]
) -> list[str]:
    """Compare the host's environment with this one.

    Args:
        host: The host's name, for messages.
        ssh: The command that logs in there, for messages.
        python: Version of the host's Python.
        executable: Its path.
        there: Versions of the :data:`COMPARED` distributions there; None: not installed.

    Returns:
        Warnings, one sentence each: what differs and may matter.

    Raises:
        RemotePythonError: Its Python has another minor version.
        DistributedMissingError: It cannot import distributed.
        VersionMismatchError: A version there cannot work with ours.
    """
    meanwhile = "nothing was started there"
    ours = here()
    setup = Remedy(f"simmate-remote setup {shlex.quote(host)}", "makes an environment there that equals the one here")
    if there.get("distributed") is None:
        raise DistributedMissingError(
            f"the Python there, {executable}, has no distributed",
            host=host,
            meanwhile=meanwhile,
            remedies=(
                setup,
                _install(ssh, executable, ours, "distributed"),
                Remedy(f"simmate-remote hosts show {host}", "`python:` names another interpreter or environment"),
            ),
        )
    if python[:2] != sys.version_info[:2]:
        raise RemotePythonError(
            f"Python is {_minor(python)} there ({executable}) and {_minor(sys.version_info[:3])} here; "
            "functions cannot travel between minor versions",
            host=host,
            meanwhile=meanwhile,
            remedies=(
                setup,
                Remedy(f"{ssh} 'ls /usr/bin/python3*'", "shows what is installed there"),
                Remedy(f"simmate-remote hosts show {host}", "`python:` names another interpreter or environment"),
            ),
        )
    warnings = []
    for name in COMPARED:
        one, other = ours[name], there.get(name)
        if one == other or one is None:
            continue
        strict = 2 if name in SAME_RELEASE else 1 if name in SAME_MAJOR else 0
        if strict and (other is None or _parts(one)[:strict] != _parts(other)[:strict]):
            raise VersionMismatchError(
                f"{name} is {other or 'missing'} there and {one} here, and these cannot work together",
                host=host,
                meanwhile=meanwhile,
                remedies=(setup, _install(ssh, executable, ours, name)),
            )
        warnings.append(f"{name} is {other or 'not installed'} there and {one} here")
    if warnings:
        warnings[-1] += f"; simmate-remote setup {shlex.quote(host)} makes them equal"
    return warnings


def _install(ssh: str, executable: str, ours: dict[str, str | None], name: str) -> Remedy:
    wanted = ["dask", "distributed"] if name in SAME_RELEASE else [name]
    pinned = " ".join(f"{each}=={ours[each]}" for each in wanted)
    return Remedy(f"{ssh} {shlex.quote(executable)} -m pip install {pinned}", "makes it the same as here")


def _minor(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version[:2]))


def _parts(version: str) -> list[str]:
    return version.split(".")
