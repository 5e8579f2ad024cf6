"""Python environments for the box, made once from the system's Python and kept for later labs."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.lab.box import SYSTEM_PYTHON
from tests.lab.folder import ENVIRONMENTS, make_base

PACKAGES = ("distributed", "dask", "bokeh", "numpy", "cryptography", "ase", "SQLAlchemy", "psycopg", "psycopg-binary")
COMPARED_BY_DASK = ("pandas",)
"""What Dask's client warns of if one side has it and the other has not."""


def same_as_here(packages: Iterable[str] = PACKAGES) -> list[str]:
    """Return requirements that give packages, and all that they need, the versions that this interpreter has.

    Args:
        packages: Names; one that is not installed here is asked for without a version.
    """
    pins: dict[str, str] = {}
    wanted = [*packages, *COMPARED_BY_DASK]
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if name in pins:
            continue
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if name in packages:
                pins[name] = name
            continue
        pins[name] = f"{name}=={found.version}"
        # What only an extra or another system needs is pinned, too, if it is here; that does no harm.
        wanted += [re.split(r"[^A-Za-z0-9._-]", text)[0] for text in found.requires or () if "extra ==" not in text]
    return sorted(pins.values())


def make_environment(requirements: Iterable[str]) -> Path:
    """Return the interpreter of an environment with these requirements; the first time, make it.

    Raises:
        RuntimeError: pip failed; with the last lines that it wrote.
    """
    wanted = sorted(requirements)
    version = subprocess.run([SYSTEM_PYTHON, "-V"], check=True, capture_output=True, text=True).stdout
    name = hashlib.sha256("\n".join([version, *wanted]).encode()).hexdigest()[:12]
    place = ENVIRONMENTS / name
    make_base()
    with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "ready").exists():
            shutil.rmtree(place, ignore_errors=True)
            _install(place, wanted)
            (place / "ready").write_text("\n".join(wanted) + "\n")
    return place / "bin/python"


def _install(place: Path, requirements: list[str]) -> None:
    pip = [str(place / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--prefer-binary"]
    for words in ([SYSTEM_PYTHON, "-m", "venv", str(place)], [*pip, *requirements]):
        # Without PYTHON*, what this interpreter was started with does not leak into the box's.
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        result = subprocess.run(
            words, umask=0o022, env=clean, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if result.returncode:
            shutil.rmtree(place, ignore_errors=True)
            tail = "\n".join(result.stdout.splitlines()[-15:])
            raise RuntimeError(f"{' '.join(words[:4])} … ended with {result.returncode}:\n{tail}")
