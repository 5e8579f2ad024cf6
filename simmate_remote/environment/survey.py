"""What the host is, as far as an environment depends on it: one script looks, and changes nothing."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from simmate_remote.environment.platform_tags import HostPlatform
from simmate_remote.environment.shell import Answer, Shell
from simmate_remote.errors import Remedy, SetupError

SURVEY_TIMEOUT = 60.0
"""Seconds; a home on a network and a module system may be slow."""

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
"""The version of Python that is wanted there: the one here, since functions cannot travel between minor versions."""


@dataclass(frozen=True)
class Interpreter:
    """A Python on the host.

    Args:
        path: Where it is, links followed.
        version: Its version.
        origin: How it was found.
        fits: Whether an environment like the one here can be made from it.
    """

    path: str
    version: str
    origin: str
    fits: bool


@dataclass(frozen=True)
class Standing:
    """The environment that is there.

    Args:
        name: Its folder's, below ``environments``; the digest of what it was made from begins it.
        made: What it was made from: the words of :meth:`Plan.lines`.
        found: Distributions that are installed in it now: name and version.
        gone: How many of its files each of those lacks that do not have all.
        works: Whether its interpreter runs.
    """

    name: str
    made: tuple[str, ...]
    found: dict[str, str]
    works: bool
    gone: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Survey:
    """What a host is.

    Args:
        platform: Machine and C library.
        hostname: What the machine calls itself.
        folder: Our folder there, absolute.
        writable: Whether we may write there.
        free: Bytes that its file system has left; 0: unknown.
        interpreters: The Pythons that were found.
        uv: Versions of uv that an earlier setup brought.
        standing: The environment that is there, if one is.
        foreign: Whether something that we did not make is in its place.
        lacking: Programs that scripts of ours need and that are not there.
    """

    platform: HostPlatform
    hostname: str
    folder: str
    writable: bool
    free: int
    interpreters: tuple[Interpreter, ...]
    uv: tuple[str, ...]
    standing: Standing | None
    foreign: bool
    lacking: tuple[str, ...]

    @property
    def interpreter(self) -> Interpreter | None:
        """The Python to make an environment from; None: none fits."""
        return next((each for each in self.interpreters if each.fits), None)


def survey(shell: Shell, python: str | None) -> Survey:
    """Look at the host.

    Args:
        shell: Runs the script.
        python: An interpreter, or an environment's folder, that the user named; None: look for one.

    Raises:
        SetupError: The host lacks what every one has, or is no Linux.
        LinkError: The link was lost, or allows no command.
    """
    answer = shell.run("survey", seconds=SURVEY_TIMEOUT, minor=MINOR, python=python or "")
    if not answer.value("end"):
        raise shell.failed("the host could not be looked at", answer)
    found = understand(answer)
    system = answer.value("system")
    if system != "Linux" or found.lacking:
        what = f"is {system}, and hosts are Linux" if system != "Linux" else f"has no {', '.join(found.lacking)}"
        raise SetupError(
            f"the machine {what}",
            host=shell.host,
            meanwhile="nothing was changed there",
            remedies=(Remedy(f"{shell.hop.ssh()} 'uname -a; echo $PATH'", "shows what it is, and where it looks"),),
        )
    if not found.writable:
        raise SetupError(
            f"nothing may be written to {found.folder}",
            host=shell.host,
            meanwhile="nothing was changed there",
            remedies=(
                Remedy(
                    f"{shell.hop.ssh()} 'ls -ld {shlex.quote(found.folder)}; df'",
                    "shows whose it is, and what else there is",
                ),
                Remedy(
                    f"simmate-remote hosts show {shlex.quote(shell.host)}",
                    "`folder:` names another place for our files",
                ),
            ),
        )
    return found


def understand(answer: Answer) -> Survey:
    """Read what the script printed."""
    kind, _, version = answer.value("libc").partition(" ")
    free = answer.value("free")
    return Survey(
        platform=HostPlatform.of(answer.value("machine"), kind, version),
        hostname=answer.value("hostname"),
        folder=answer.value("folder"),
        writable=answer.value("writable") == "yes",
        free=int(free) * 1024 if free.isdecimal() else 0,
        interpreters=tuple(_interpreter(line) for line in answer.lines if line.startswith("python|")),
        uv=tuple(answer.values("uv")),
        standing=_standing(answer),
        foreign=bool(answer.value("environment-foreign")),
        lacking=tuple(answer.values("lacks")),
    )


def _interpreter(line: str) -> Interpreter:
    _, major, minor, micro, implementation, _, free_threaded, origin, path = line.split("|", 8)
    fits = f"{major}.{minor}" == MINOR and implementation == sys.implementation.name and free_threaded == "0"
    return Interpreter(path, f"{major}.{minor}.{micro}", origin, fits)


def _standing(answer: Answer) -> Standing | None:
    name = answer.value("environment").rpartition("/")[2]
    if not name:
        return None
    pairs = [text.rsplit(" ", 1) for text in answer.values("has") if " " in text]
    found: dict[str, str] = {canonicalize_name(name): _normal(version) for name, version in pairs}
    lost = [text.rsplit(" ", 1) for text in answer.values("gone") if " " in text]
    gone: dict[str, int] = {canonicalize_name(each): int(count) for each, count in lost if count.isdecimal()}
    return Standing(name, tuple(answer.values("made")), found, works=not answer.value("environment-broken"), gone=gone)


def _normal(version: str) -> str:
    try:
        return str(Version(version))
    except InvalidVersion:
        return version
