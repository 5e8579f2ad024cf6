"""What tests of ``setup`` need: a small environment that is as if it were installed here, and a host to bring it to."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from simmate_remote.environment.local import Distribution
from simmate_remote.environment.setup import Feedback, SetupReport, Supply, Wish, set_up
from simmate_remote.environment.store import WheelStore
from simmate_remote.inventory import Host
from simmate_remote.link import Ask
from tests.boxes import Box
from tests.lab.folder import BASE, make_base


def uv_wheels() -> Path:
    """Give a folder with a wheel of uv for this machine; the first time on a machine, it is fetched."""
    make_base()
    folder = BASE / "uv"
    with (BASE / "uv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(folder.glob("uv-*.whl")):
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), "uv"]
            subprocess.run(command, check=True)
    return folder


def write_wheel(folder: Path, name: str, version: str, files: dict[str, bytes], tag: str = "py3-none-any") -> Path:
    """Write a wheel by hand.

    Args:
        folder: Where.
        name: Of the distribution.
        version: Its version.
        files: Path and content of what it holds.
        tag: For which Python and which platform.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    information = f"{name}-{version}.dist-info"
    everything = {
        **files,
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{information}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in everything.items():
            archive.writestr(each, content)
        names = [*everything, f"{information}/RECORD"]
        archive.writestr(f"{information}/RECORD", "".join(f"{each},,\n" for each in names))
    return path


class Here:
    """A small environment that stands for the one here.

    Args:
        folder: Where its wheels are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.supply = Supply({}, WheelStore(folder / "store"))
        self._folder = folder
        with self.supply.store.arriving() as arriving:
            for wheel in uv_wheels().glob("uv-*.whl"):
                shutil.copy(wheel, arriving)
            self.supply.store.take(arriving)
        # Compressing uv takes seconds: one copy of it serves all tests.
        (BASE / "uv-packed").mkdir(exist_ok=True)
        (self.supply.store.folder / "programs").symlink_to(BASE / "uv-packed")

    def install(self, name: str, version: str, **files: bytes) -> None:
        """Install a distribution of one module of its own name, and of further files, named by their stems."""
        module = {f"{name}.py": f"version = {version!r}\n".encode()}
        with self.supply.store.arriving() as arriving:
            write_wheel(arriving, name, version, module | {f"{name}_{key}.py": value for key, value in files.items()})
            self.supply.store.take(arriving)
        self.supply.installed[name] = Distribution(name, version, ())


async def bring(
    box: Box,
    here: Here,
    *,
    wish: Wish | None = None,
    ask: Ask | None = None,
    step: Callable[[str], object] = lambda _: None,
    progress: Callable[[int, int], object] = lambda sent, total: None,
    **fields: object,
) -> SetupReport:
    """Make a box ready."""
    return await set_up(bare(box, **fields), wish or Wish(), here.supply, Feedback(step, progress, ask))


def bare(box: Box, **fields: object) -> Host:
    """Describe a box as the inventory would that says nothing of Python."""
    return Host(**{"name": "lab-box", "ssh": box.alias, "ssh_config": box.ssh_config, **fields})  # type: ignore[arg-type]
