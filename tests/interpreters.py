"""A box without Python, and an interpreter to bring to it."""

from __future__ import annotations

import contextlib
import json
import platform
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.lab import Lab
from tests.lab.box import SYSTEM_PYTHON

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


@contextlib.contextmanager
def python_hidden(lab: Lab, behind: str = "/usr/bin/false") -> Iterator[None]:
    """Let the box have no Python, or another program in its place, for the time of a block; what runs of it goes on."""
    found = lab.run("root", f"readlink -f {SYSTEM_PYTHON}").stdout.strip()
    lab.run("root", f"mount --bind {behind} {found}")
    try:
        yield
    finally:
        lab.run("root", f"umount {found}")


def offer_python(folder: Path) -> Path:
    """Pack the system's Python as uv's own store would offer it; give the list of downloads that names it."""
    source = Path(SYSTEM_PYTHON).resolve()
    tree = folder / "python"
    (tree / "bin").mkdir(parents=True)
    shutil.copy(source, tree / "bin" / f"python{MINOR}")
    left_out = shutil.ignore_patterns("__pycache__", "test", "idlelib", "config-*", "dist-packages", "sitecustomize.py")
    shutil.copytree(f"/usr/lib/python{MINOR}", tree / "lib" / f"python{MINOR}", ignore=left_out, symlinks=False)
    archive = folder / "python.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as file:
        file.add(tree, "python")
    machine = platform.machine()
    offer = {
        "name": "cpython",
        "arch": {"family": machine, "variant": None},
        "os": "linux",
        "libc": "gnu",
        "major": sys.version_info[0],
        "minor": sys.version_info[1],
        "patch": sys.version_info[2],
        "prerelease": "",
        "url": archive.as_uri(),
        "sha256": None,
        "variant": None,
        "build": "20260101",
    }
    downloads = folder / "downloads.json"
    key = f"cpython-{'.'.join(map(str, sys.version_info[:3]))}-linux-{machine}-gnu"
    downloads.write_text(json.dumps({key: offer}))
    return downloads
