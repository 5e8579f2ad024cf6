"""Wheels that are built here: of local and editable projects, and of what comes as source alone."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

from simmate_remote.environment import pip
from simmate_remote.environment.local import Distribution
from simmate_remote.environment.platform_tags import HostPlatform, local_platform
from simmate_remote.environment.store import WheelStore, file_sha256

KEPT = 30 * 24 * 3600.0
"""Seconds without use after which what was built here is built anew: each edit of a project makes another wheel."""

_NOT_SOURCE = {"build", "dist", "node_modules", "__pycache__", "venv"}


def built_wheel(
    distribution: Distribution, platform: HostPlatform, store: WheelStore, step: Callable[[str], object]
) -> Path:
    """Give the wheel of a distribution, built here unless that was done before.

    Args:
        distribution: Which one.
        platform: Where it shall run.
        store: Where wheels are kept.
        step: Told that it is being built.

    Raises:
        pip.PipError: It cannot be built, or what is built here does not run there; with the reason.
        SetupError: There is no pip here.
    """
    what, shelf = _origin(distribution)
    found = _standing(distribution, platform, store, shelf)
    if found is None:
        step(f"building {distribution.name}")
        store.forget("built", KEPT)
        with store.arriving() as folder:
            pip.build(what, folder)
            found = store.take(folder, shelf)[0]
    os.utime(store.folder / shelf)
    _, _, _, tags = parse_wheel_filename(found.name)
    pure = any(tag.platform == "any" for tag in tags)
    if not pure and not platform.runs_builds_of(local_platform()):
        raise pip.PipError(
            f"there is no wheel of it for {platform}, and one that is built here, {found.name}, does not run there"
        )
    return found


def was_built(distribution: Distribution, platform: HostPlatform, store: WheelStore) -> bool:
    """Say whether a distribution that comes from an index was built here before, since there is no wheel of it.

    Args:
        distribution: Which one.
        platform: Where it shall run.
        store: Where wheels are kept.
    """
    return _standing(distribution, platform, store, _origin(distribution)[1]) is not None


def _origin(distribution: Distribution) -> tuple[str, str]:
    """Give what pip builds a distribution from, and the shelf of the store that belongs to just that."""
    source = distribution.source
    if source is not None and source.folder is not None:
        if not source.folder.is_dir():
            raise pip.PipError(f"it was installed from {source.folder}, which is not there any more")
        what, key = str(source.folder), folder_key(source.folder)
    else:
        what = source.url if source is not None and source.url is not None else distribution.pin
        # A wheel of one's own is often made anew under the name that it had.
        content = _content_of(what) if what.startswith("file:") else ""
        key = hashlib.sha256(f"{what}{content}".encode()).hexdigest()
    return what, f"built/{key[:24]}"


def _content_of(url: str) -> str:
    path = Path(unquote(urlsplit(url).path))
    if not path.is_file():
        raise pip.PipError(f"it was installed from {path}, which is not there any more")
    return file_sha256(path)


def _standing(distribution: Distribution, platform: HostPlatform, store: WheelStore, shelf: str) -> Path | None:
    return store.find(distribution.name, None, [*platform.tags(), *_own_tags()], shelf)


def _own_tags() -> list[Tag]:
    own = local_platform()
    return own.tags() if own is not None else []


def folder_key(folder: Path) -> str:
    """Give a digest of a project's files: those that git would commit, or else all that look like source."""
    digest = hashlib.sha256()
    # Not whole files at once: what lies in a project need not be source, and may be larger than the memory.
    for path in sorted(_files(folder)):
        if path.is_file():
            name, status = os.fsencode(path.relative_to(folder)), path.stat()
            digest.update(name + f"\0{status.st_mode & 0o111}\0{file_sha256(path)}\0".encode())
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    try:
        listed = subprocess.run(
            ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        listed = b""
    if listed:
        yield from {folder / os.fsdecode(name) for name in listed.split(b"\0") if name}
        return
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NOT_SOURCE and not name.startswith(".")]
        folders[:] = [name for name in folders if not name.endswith(".egg-info")]
        yield from (Path(place, name) for name in names if not name.endswith((".pyc", ".pyo")))
