"""Our own package, as it travels to the host: a zip, named by its content, so that each version travels once."""

from __future__ import annotations

import functools
import hashlib
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import simmate_remote
from simmate_remote.version import __version__

STAYS_HERE = {"testing", "cli"}
ERRANDS_USE = {"errors", "streams", "version.py"}
"""What modules below ``host`` may import besides each other."""


@dataclass(frozen=True)
class Package:
    """What travels.

    Args:
        name: Version and digest of the files; the folder's name on the host.
        files: Path inside the package and content of each.
    """

    name: str
    files: tuple[tuple[str, bytes], ...]

    def content(self, path: str) -> bytes:
        """Give one of the files."""
        return dict(self.files)[path]

    def zipped(self) -> bytes:
        """Pack it; only when a host does not have it yet, since compressing takes as long as a login."""
        return _zipped(self.files)

    def zipped_for_errand(self, module: str) -> bytes:
        """Pack what an errand needs, a tenth of it all: it travels each time where no session was.

        Args:
            module: The errand's; it, and whatever it names, down to the last one, is what travels.
        """
        needed = _named_from(module, {path: content for path, content in self.files if _serves_errands(path)})
        return _zipped([(path, content) for path, content in self.files if path in needed])


def _zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files:
            archive.writestr(f"simmate_remote/{path}", content)
    return buffer.getvalue()


def _serves_errands(path: str) -> bool:
    parts = path.split("/")
    return parts[0] in ERRANDS_USE or "host" in parts or parts[-1] == "__init__.py"


def _named_from(module: str, files: Mapping[str, bytes]) -> set[str]:
    """Give the files of a module and of all modules that it names, in imports or as text, and these name in turn."""
    found: set[str] = set()
    waiting = [module, "simmate_remote.version"]
    while waiting:
        words = waiting.pop().split(".")[1:]
        # What is named may be something in a module; and what is in a folder brings the folder's own module along.
        for path in ["/".join(words[:count]) for count in range(len(words) + 1)]:
            file = next((each for each in (f"{path}.py", f"{path}/__init__.py".lstrip("/")) if each in files), None)
            if file is None or file in found:
                continue
            found.add(file)
            if path:  # the uppermost one names everything there is
                waiting += _names_in(files[file].decode())
    return found


def _names_in(text: str) -> Iterator[str]:
    yield from _NAME.findall(text)
    for module, names in _FROM.findall(text):
        yield from (f"{module}.{name}" for name in _WORD.findall(names))


_NAME = re.compile(r"simmate_remote(?:\.\w+)+")
_FROM = re.compile(r"from (simmate_remote(?:\.\w+)*) import (\([^)]*\)|[^\n(]*)")
_WORD = re.compile(r"\w+")


def own_package() -> Package:
    """Read the package that this process runs; once, so that it stays the same while its files are replaced.

    It may be called ahead, in a thread; it takes as long as opening a channel.
    """
    with _reading:
        return _read_once()


def read_package() -> Package:
    """Read the package as its files are now."""
    root = Path(simmate_remote.__file__).parent
    files = tuple(
        (inside.as_posix(), path.read_bytes())
        for path in sorted(root.rglob("*.py"))
        if (inside := path.relative_to(root)).parts[0] not in STAYS_HERE
    )
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return Package(f"{__version__}-{digest.hexdigest()[:12]}", files)


_reading = threading.Lock()
_read_once = functools.cache(read_package)
