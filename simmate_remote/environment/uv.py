"""uv, the program that makes environments: as a wheel of the index for the host, and as a program here."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from simmate_remote.environment import pip, programs
from simmate_remote.environment.platform_tags import HostPlatform, local_platform
from simmate_remote.environment.sending import Parcel
from simmate_remote.environment.store import WheelStore, file_sha256
from simmate_remote.errors import Remedy, WheelMissingError

_STATIC_MUSL = (1, 1)


class Uv(NamedTuple):
    """uv for a host.

    Args:
        version: Its version.
        parcel: The program, compressed, as it is sent.
    """

    version: str
    parcel: Parcel


def uv_for(platform: HostPlatform, store: WheelStore, host: str) -> Uv:
    """Give uv for a host, fetched unless it is in the store.

    Args:
        platform: The host's.
        store: Where wheels are kept.
        host: Its name, for messages.

    Raises:
        WheelMissingError: It cannot be had.
        SetupError: There is no pip here.
    """
    with store.busy:
        return _packed(platform, store, host)


def _packed(platform: HostPlatform, store: WheelStore, host: str) -> Uv:
    wheel = _wheel(platform, store)
    if wheel is None:
        # The build for musl is static, and runs with a C library that is too old for the other one, too.
        wheel = _wheel(HostPlatform(platform.machine, "musl", _STATIC_MUSL), store)
    if wheel is None:
        raise WheelMissingError(
            f"uv, which makes environments, cannot be had for {platform}",
            host=host,
            meanwhile="nothing was changed there",
            remedies=(Remedy(f"{sys.executable} -m pip download uv", "shows whether the index can be reached"),),
        )
    version = str(parse_wheel_filename(wheel.name)[1])
    packed = store.folder / "programs" / f"{file_sha256(wheel)[:16]}-uv.gz"
    if not packed.exists():
        packed.parent.mkdir(mode=0o700, exist_ok=True)
        arriving = packed.with_name(f".{packed.name}.{os.getpid()}")
        with _program(wheel).open("rb") as program, gzip.GzipFile(arriving, "wb", compresslevel=6, mtime=0) as file:
            shutil.copyfileobj(program, file, 1024 * 1024)
        arriving.replace(packed)
    return Uv(version, Parcel.of(packed, f"bin/uv-{version}.gz"))


def local_uv(store: WheelStore) -> Path | None:
    """Give the uv of this machine: one that is installed, or the store's; None: none can be had."""
    if found := shutil.which("uv"):
        return Path(found)
    own = local_platform()
    wheel = _wheel(own, store) if own is not None else store.find("uv", None, list(sys_tags()))
    if wheel is None:
        return None
    program = store.folder / "programs" / f"{wheel.stem}-uv"
    if not program.exists():
        program.parent.mkdir(mode=0o700, exist_ok=True)
        arriving = program.with_name(f".{program.name}.{os.getpid()}")
        with _program(wheel).open("rb") as source, arriving.open("wb") as file:
            shutil.copyfileobj(source, file, 1024 * 1024)
        arriving.chmod(stat.S_IRWXU)
        arriving.replace(program)
    return program


def fetch_python(minor: str, platform: HostPlatform, store: WheelStore) -> Path | str:
    """Fetch an interpreter for a host into the store, as uv does it, and pack it.

    Args:
        minor: Which one, as ``3.11``.
        platform: Where it shall run.
        store: Where wheels are kept.

    Returns:
        The archive; or, if it cannot be had, why.
    """
    with store.busy:
        return _fetched(minor, platform, store)


def _fetched(minor: str, platform: HostPlatform, store: WheelStore) -> Path | str:
    uv = local_uv(store)
    if uv is None:
        return "there is no uv here to fetch it with"
    name = f"cpython-{minor}-linux-{platform.machine}-{'musl' if platform.libc == 'musl' else 'gnu'}"
    folder = store.folder / "pythons" / name
    install = ["--quiet", "--no-config", "python", "install", "--no-bin", "--install-dir", str(folder), name]
    try:
        done = programs.run([str(uv), *install], pip.TIMEOUT)
    except TimeoutError as error:
        return f"uv python install: {error}"
    found = [path for path in folder.glob("cpython-*") if path.is_dir() and not path.is_symlink()]
    if not found:
        return done.said.strip()[-1000:] or "uv gave no reason"
    newest = max(found)
    packed = folder / f"{newest.name}.tar.gz"
    if not packed.exists():
        arriving = shutil.make_archive(str(folder / f".{newest.name}-{os.getpid()}"), "gztar", folder, newest.name)
        Path(arriving).replace(packed)
    return packed


def _wheel(platform: HostPlatform, store: WheelStore) -> Path | None:
    tags = platform.tags()
    found = store.find("uv", None, tags)
    if found is None:
        with store.arriving() as folder:
            try:
                pip.download(["uv"], platform, folder)
            except pip.PipError:
                return None
            store.take(folder)
        found = store.find("uv", None, tags)
    return found


def _program(wheel: Path) -> zipfile.Path:
    with zipfile.ZipFile(wheel) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
    return zipfile.Path(wheel, inside)
