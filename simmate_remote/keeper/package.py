"""Our own package, as it travels to the host: a zip, named by its content, so that each version travels once."""

from __future__ import annotations

import functools
import hashlib
import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import simmate_remote
from simmate_remote.version import __version__

STAYS_HERE = {"testing", "cli"}


class Package(NamedTuple):
    """What travels.

    Args:
        name: Version and digest of the content; the folder's name on the host.
        content: The zip, in bytes.
    """

    name: str
    content: bytes


@functools.cache
def own_package() -> Package:
    """Pack the package that this process runs."""
    root = Path(simmate_remote.__file__).parent
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*.py")):
            inside = path.relative_to(root)
            if inside.parts[0] not in STAYS_HERE:
                # A fixed date, so that the same content always has the same digest.
                entry = zipfile.ZipInfo(f"simmate_remote/{inside.as_posix()}", (2020, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
    content = buffer.getvalue()
    return Package(f"{__version__}-{hashlib.sha256(content).hexdigest()[:12]}", content)
