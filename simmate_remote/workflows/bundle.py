"""The user's own code as one archive that is named by its content."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from simmate_remote.errors import WorkflowError
from simmate_remote.workflows.own_code import files_of
from simmate_remote.workflows.shipped import remote_name

LIMIT = 50_000_000
"""Bytes of own code that travel; a choice: far above any source, far below what would slow a session down."""


@dataclass(frozen=True)
class Bundle:
    """Own code, ready to travel.

    Args:
        digest: Stands for the content: the same code has the same digest, edited code has another.
        names: The top-level modules and packages inside.
        archive: A zip file.
        origins: For each name, the file or folder here that it was made from.
    """

    digest: str
    names: tuple[str, ...]
    archive: bytes = field(repr=False)
    origins: dict[str, Path] = field(repr=False)

    @cached_property
    def sha256(self) -> str:
        """The digest of the archive."""
        return hashlib.sha256(self.archive).hexdigest()

    def as_known_here(self, text: str, folder: str) -> str:
        """Give paths and modules in a text from the host the names that they have here.

        Args:
            text: Such as a traceback.
            folder: Where the code was unpacked.
        """
        for name, origin in self.origins.items():
            end = "/" if origin.is_dir() else ""
            text = text.replace(f"{folder}/{_name_inside(name, origin)}{end}", f"{origin}{end}")
        return text.replace(remote_name(self.digest, ("",), ""), "")


def bundle(origins: dict[str, Path]) -> Bundle | None:
    """Pack the user's own code.

    Args:
        origins: The file of each module, or the folder of each package, by its top-level name.

    Returns:
        ``None`` if there is none, and nothing has to travel.

    Raises:
        WorkflowError: It is too much, or a file cannot be read.
    """
    if not origins:
        return None
    contents = _read(origins)
    digest = hashlib.sha256()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(contents.items()):
            digest.update(f"{len(name.encode())} {name} {len(content)} ".encode() + content)
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return Bundle(digest.hexdigest()[:16], tuple(origins), buffer.getvalue(), origins)


def _read(origins: dict[str, Path]) -> dict[str, bytes]:
    """Return the content of all files by their name inside the archive."""
    files = {}
    for name, origin in origins.items():
        for file in files_of(origin):
            inside = _name_inside(name, origin)
            files[inside if file == origin else f"{inside}/{file.relative_to(origin).as_posix()}"] = file
    try:
        sizes = {name: file.stat().st_size for name, file in files.items()}
        if sum(sizes.values()) > LIMIT:
            raise _too_much(sizes, files)
        return {name: file.read_bytes() for name, file in files.items()}
    except OSError as error:
        raise WorkflowError(
            f"{error.filename} belongs to the code to run, and cannot be read: {error.strerror}"
        ) from error


def _name_inside(name: str, origin: Path) -> str:
    if origin.is_dir():
        return name
    # A file that was loaded by its path may have been given another name than its own.
    return f"{name}.py" if origin.suffix == ".py" else origin.name


def _too_much(sizes: dict[str, int], files: dict[str, Path]) -> WorkflowError:
    largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:5]
    return WorkflowError(
        f"the code to run has {sum(sizes.values()) / 1e6:.0f} MB in {len(sizes)} files, and at most "
        f"{LIMIT / 1e6:.0f} MB travel with a run: give data as a parameter that is annotated as Path, or install "
        "the package on the host",
        meanwhile="nothing was sent",
        detail="\n".join(f"{sizes[name] / 1e6:8.1f} MB  {files[name]}" for name in largest),
    )
