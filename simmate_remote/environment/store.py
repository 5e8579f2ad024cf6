"""The wheels that were collected on this machine, so that the second host, and the second time, need no index."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from simmate_remote.errors import Remedy, SetupError

_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Wheel:
    """A wheel on this machine.

    Args:
        name: Of the distribution, in the one form in which names are compared.
        version: Its version.
        path: The file.
        sha256: Of its content, in hexadecimal.
        size: Bytes.
        unpacked: Bytes of what it holds.
    """

    name: str
    version: str
    path: Path
    sha256: str
    size: int
    unpacked: int


class WheelStore:
    """A folder of wheels.

    Args:
        folder: The folder; default: in the user's cache.

    Raises:
        SetupError: It cannot be made.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or platformdirs.user_cache_path("simmate-remote") / "wheels"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"the folder for wheels here, {self.folder}, cannot be made: {error.strerror}",
                meanwhile="nothing was contacted",
                remedies=(
                    Remedy("simmate-remote doctor --only here-disk", "looks at it; XDG_CACHE_HOME names another"),
                ),
            ) from error
        self.busy = threading.Lock()
        """Held by whoever fills the store, so that two hosts of one kind do not fetch everything twice."""

    def find(self, name: str, version: str | None, tags: Sequence[Tag], shelf: str = "") -> Path | None:
        """Find the wheel of a version that suits a platform best.

        Args:
            name: Of the distribution.
            version: The version; None: the newest that suits.
            tags: The platform's, the most particular first.
            shelf: Where to look; the empty one is what indexes gave.
        """
        rank = {tag: number for number, tag in enumerate(tags)}
        found: list[tuple[Version, int, Path]] = []
        for path in (self.folder / shelf / canonicalize_name(name)).glob("*.whl"):
            try:
                _, own, _, own_tags = parse_wheel_filename(path.name)
            except (InvalidWheelFilename, InvalidVersion):
                continue
            ranks = [rank[tag] for tag in own_tags if tag in rank]
            if ranks and (version is None or _equal(own, version)):
                found.append((own, -min(ranks), path))
        return max(found, default=(None, 0, None))[2]

    @contextlib.contextmanager
    def arriving(self) -> Iterator[Path]:
        """Give a folder for wheels that are being made or fetched; what :meth:`take` does not take goes with it."""
        folder = Path(tempfile.mkdtemp(prefix=".arriving-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def take(self, folder: Path, shelf: str = "") -> list[Path]:
        """Put all wheels of a folder into the store, each at once."""
        taken = []
        for path in sorted(folder.glob("*.whl")):
            place = self.folder / shelf / parse_wheel_filename(path.name)[0]
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            taken.append(path.rename(place / path.name))
        return taken

    def forget(self, place: str, age: float) -> None:
        """Remove the shelves of a place that were last used so many seconds ago."""
        for shelf in (self.folder / place).glob("*"):
            if time.time() - shelf.stat().st_mtime > age:
                shutil.rmtree(shelf)

    def wheel(self, path: Path) -> Wheel:
        """Describe a wheel; its content is read only if the file has changed since the last time."""
        name, version, _, _ = parse_wheel_filename(path.name)
        notes = path.with_name(f"{path.name}.json")
        status = path.stat()
        mark = [status.st_size, status.st_mtime_ns]
        told = read_json(notes) or {}
        if told.get("mark") != mark:
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            told = {"mark": mark, "sha256": file_sha256(path), "unpacked": unpacked}
            write_json(notes, told)
        return Wheel(name, str(version), path, told["sha256"], status.st_size, told["unpacked"])


def file_sha256(path: Path, length: int | None = None) -> str:
    """Give the SHA-256 of a file, or of its first bytes, in hexadecimal."""
    digest = hashlib.sha256()
    left = path.stat().st_size if length is None else length
    with path.open("rb") as file:
        while left and (block := file.read(min(left, _BLOCK))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def read_json(path: Path) -> Any:
    """Read a file of the store; None if there is none, or one that cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def write_json(path: Path, content: Any) -> None:
    """Write a file of the store at once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    arriving = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    arriving.write_text(json.dumps(content))
    arriving.replace(path)


def _equal(found: Version, wanted: str) -> bool:
    try:
        return found == Version(wanted)
    except InvalidVersion:
        return str(found) == wanted
