"""What tells two installed packages apart, computed on either side of a connection."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_READ_UP_TO = 2_000_000
"""Bytes of a package that is read as a whole; of larger ones the files' sizes have to do, if these are equal."""

# They say how and where a package was built, and differ between builds of one release.
_OF_THE_BUILD = frozenset({"__config__.py", "_distributor_init.py"})


def fingerprints(names: Sequence[str], thorough: Sequence[str] = ()) -> dict[str, str | None]:
    """Give a digest of each top-level package or module of this environment; None: it is not there.

    Args:
        names: Of packages and modules.
        thorough: Further ones, which are read as a whole, whatever their size.
    """
    return {name: _fingerprint(name, name in thorough) for name in (*names, *thorough)}


def describe(name: str) -> dict[str, Any]:
    """Tell more of one: its ``version`` (may be None), its ``place``, and the digest of each of its ``files``.

    Args:
        name: Of the package or module.
    """
    files = dict(_files(name))
    return {
        "version": _version(name),
        "place": str(min(files.values(), default="")),
        "files": {inside: hashlib.sha256(file.read_bytes()).hexdigest() for inside, file in files.items()},
    }


@cache
def _fingerprint(name: str, thorough: bool) -> str | None:
    files = dict(_files(name))
    if not files:
        return None
    sizes = {inside: file.stat().st_size for inside, file in files.items()}
    read = thorough or sum(sizes.values()) <= _READ_UP_TO
    digest = hashlib.sha256()
    for inside, file in sorted(files.items()):
        digest.update(f"{inside} {sizes[inside]} ".encode())
        digest.update(file.read_bytes() if read else b"")
    return digest.hexdigest()[:16]


def _files(name: str) -> Iterator[tuple[str, Path]]:
    """Walk through a package's source files; a package without any is represented by the file that is loaded."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    for folder in folders:
        for file in folder.rglob("*.py"):
            if file.name not in _OF_THE_BUILD and file.is_file():
                yield f"{name}/{file.relative_to(folder).as_posix()}", file
    if not folders and spec.has_location and spec.origin is not None and spec.origin.endswith(".py"):
        yield f"{name}.py", Path(spec.origin)


def _version(name: str) -> str | None:
    for distribution in importlib.metadata.packages_distributions().get(name, ()):
        return importlib.metadata.version(distribution)
    return None
