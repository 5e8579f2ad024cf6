"""Files among the parameters: their content travels, and the function finds them as files again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simmate_remote.errors import WorkflowError

LIMIT = 64_000_000
"""Bytes that all files of one call may have together; a choice: they are held in memory at every station."""


@dataclass(frozen=True)
class SentFile:
    """A file's name and content."""

    name: str
    content: bytes = field(repr=False)


def pack_files(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Replace every ``Path`` among parameters, also inside lists and dicts, by the file's content.

    Args:
        values: Parameters that were given: each path must be a file.
        defaults: Parameters that were not. A path among them that is a file travels, too; any other is left to
            the function.

    Returns:
        All values that must travel; defaults without files are not among them.

    Raises:
        WorkflowError: A path is no file that can be read, or the files are too large together.
    """
    left = LIMIT
    count = 0

    def read(path: Path) -> SentFile:
        nonlocal left, count
        count += 1
        try:
            size = path.stat().st_size
            if size <= left:
                left -= size
                return SentFile(path.name, path.read_bytes())
        except OSError as error:
            raise WorkflowError(
                f"{path} is given as a file, and cannot be read: {error.strerror}", meanwhile="nothing was run"
            ) from error
        raise WorkflowError(
            f"the files of one call may have {LIMIT / 1e6:.0f} MB together, and {path} has {size / 1e6:.0f} MB: "
            "copy it to the host, and give its path there to a parameter that is annotated as str",
            meanwhile="nothing was run",
        )

    packed = {name: replaced(value, Path, read) for name, value in values.items()}
    for name, value in defaults.items():
        before = count
        with_content = replaced(value, Path, lambda path: read(path) if path.is_file() else path)
        if count > before:
            packed[name] = with_content
    return packed


def unpack_files(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write the files that travelled, and put their paths in their places.

    Args:
        values: As :func:`pack_files` made them.
        folder: Where; made if there are files. Each gets a folder of its own inside, so that names may repeat.
    """
    count = 0

    def write(file: SentFile) -> Path:
        nonlocal count
        place = folder / str(count)
        count += 1
        place.mkdir(parents=True)
        path = place / Path(file.name).name
        path.write_bytes(file.content)
        return path

    return {name: replaced(value, SentFile, write) for name, value in values.items()}


def replaced(value: Any, kind: type[Any], make: Callable[[Any], Any]) -> Any:
    """Give a value with everything of a kind in it replaced, also inside lists and dicts.

    Args:
        value: It.
        kind: What is replaced.
        make: Gives what takes its place.
    """
    if isinstance(value, kind):
        return make(value)
    if type(value) is dict:
        return {key: replaced(item, kind, make) for key, item in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(replaced(item, kind, make) for item in value)
    return value
