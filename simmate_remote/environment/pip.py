"""pip, as a program: it fetches wheels for another machine, which uv does not do, and builds what has none."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from simmate_remote.environment import programs
from simmate_remote.environment.platform_tags import HostPlatform
from simmate_remote.errors import Remedy, SetupError

TIMEOUT = 1800.0
"""Seconds for one call; building may compile."""

_TOLD = 12  # lines


class PipError(Exception):
    """pip failed; with the end of what it said."""


def download(
    requirements: Iterable[str | Requirement],
    platform: HostPlatform,
    folder: Path,
    *,
    constraints: Sequence[str] | None = None,
    patient: bool = True,
) -> None:
    """Fetch wheels for a platform.

    Args:
        requirements: What to fetch.
        platform: Where they shall run.
        folder: Where they go.
        constraints: What the requirements' own requirements may be; None: those are not fetched.
        patient: Whether an index that does not answer is asked again.

    Raises:
        PipError: Not all could be fetched.
        SetupError: There is no pip here.
    """
    version = sys.version_info[:2]
    words = ["download", "--quiet", "--only-binary=:all:", "--dest", str(folder)]
    words += ["--python-version", f"{version[0]}.{version[1]}", "--implementation", "cp"]
    for abi in (f"cp{version[0]}{version[1]}", "abi3", "none"):
        words += ["--abi", abi]
    for each in [*platform.platforms(), "any"]:
        words += ["--platform", each]
    if constraints is None:
        words += ["--no-deps"]
    else:
        file = folder / "constraints.txt"
        file.write_text("".join(f"{pin}\n" for pin in constraints))
        words += ["--constraint", str(file)]
    if not patient:
        words += ["--retries", "0", "--timeout", "10"]
    list_of_all = folder / "requirements.txt"
    list_of_all.write_text("".join(f"{requirement}\n" for requirement in requirements))
    _run([*words, "--requirement", str(list_of_all)])


def build(what: str, folder: Path) -> None:
    """Build the wheel of one project here.

    Args:
        what: A project's folder, an address, or a requirement.
        folder: Where the wheel goes.

    Raises:
        PipError: It could not be built.
        SetupError: There is no pip here.
    """
    # A project without pyproject.toml needs setuptools and wheel, which an environment need not have. Not --quiet: what
    # the project's own build has said is the reason if it fails.
    _run(["wheel", "--progress-bar", "off", "--no-deps", "--use-pep517", "--wheel-dir", str(folder), what])


def _run(words: list[str]) -> None:
    if importlib.util.find_spec("pip") is None:
        raise SetupError(
            f"this environment has no pip, which collects wheels for another machine: {sys.prefix}",
            meanwhile="nothing was changed on the host",
            remedies=(Remedy(f"{sys.executable} -m ensurepip", "installs it"),),
        )
    try:
        program = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        done = programs.run([*program, *words], TIMEOUT)
    except TimeoutError as error:
        raise PipError(f"pip {words[0]}: {error}") from error
    if done.status:
        raise PipError(_reason(done.said) or f"pip {words[0]} gave no reason")


def _reason(output: str) -> str:
    """Give the end of what pip said, or of what the project's own build said where that is what failed."""
    lines = output.strip().splitlines()
    ends = [number for number, line in enumerate(lines) if line.strip() == "[end of output]"]
    if ends:
        lines = [line.strip() for line in lines[: ends[0]] if line.strip()]
    return "\n".join(lines[-_TOLD:])
