"""``push`` against ``rsync -a -e ssh``: from nothing and unchanged, small files and a large one; whole commands."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.lab_host import end_session, lab_host
from benchmarks.pairs import Comparison, compare
from simmate_remote import RemoteCluster
from simmate_remote.inventory import Host
from tests.lab import Lab

SMALL_FILES, SMALL_SIZE = 2000, 4000
FOLDERS = 20
LARGE_SIZE = 1 << 30
AT_MOST = 1.3
PUSH = "from simmate_remote.cli.app import main; main()"


def measure(lab: Lab, runs: int, *, delay: int) -> list[Comparison]:
    """Compare the two, with a session that is connected and without one.

    Args:
        lab: Where.
        runs: Pairs of each.
        delay: Round-trip time of the network, in ms.
    """
    host = lab_host(lab)
    found = []
    with tempfile.TemporaryDirectory(prefix="push-") as folder, lab.network.delay(delay):
        origins = {
            f"{SMALL_FILES:,} files of 4 kB": _small(Path(folder, "small")),
            "one file of 1 GiB": _large(Path(folder, "large")),
        }
        inventory = Path(folder, "hosts")
        inventory.mkdir()
        shutil.copy(lab.inventory / "lab-box.yaml", inventory)
        with (inventory / "lab-box.yaml").open("a") as file:
            file.write(f"link: {host.link}\n")
        for way in (_without_session, _with_session):
            with way(host) as said:
                for name, origin in origins.items():
                    found += _compare(f"push of {name}, {said}, {delay} ms", lab, inventory, origin, runs)
    shutil.rmtree(lab.home("researcher") / "ours", ignore_errors=True)
    shutil.rmtree(lab.home("researcher") / "theirs", ignore_errors=True)
    return found


def _compare(name: str, lab: Lab, inventory: Path, origin: Path, runs: int) -> list[Comparison]:
    home = lab.home("researcher")
    environment = {**os.environ, "SIMMATE_REMOTE_HOSTS": str(inventory)}
    ours = [sys.executable, "-c", PUSH, "push", "lab-box", str(origin), "--to", "ours"]
    theirs = ["rsync", "-a", "-e", f"ssh -F {lab.ssh_config}", str(origin), "lab-box:theirs/"]

    def seconds(command: list[str], target: str, *, afresh: bool) -> float:
        if afresh:
            shutil.rmtree(home / target, ignore_errors=True)
        start = time.perf_counter()
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - start

    return [
        compare(
            f"{name}, {said}",
            lambda afresh=afresh: seconds(ours, "ours", afresh=afresh),  # type: ignore[misc]
            lambda afresh=afresh: seconds(theirs, "theirs", afresh=afresh),  # type: ignore[misc]
            runs=runs,
            unit="s",
            what="rsync -a -e ssh",
            at_most=AT_MOST,
        )
        for said, afresh in (("from nothing", True), ("unchanged", False))
    ]


@contextlib.contextmanager
def _without_session(host: Host) -> Iterator[str]:
    del host
    yield "without a session"


@contextlib.contextmanager
def _with_session(host: Host) -> Iterator[str]:
    with RemoteCluster(host, outlive=True):
        pass
    try:
        yield "with a session"
    finally:
        end_session(host)


def _small(folder: Path) -> Path:
    for number in range(SMALL_FILES):
        path = folder / str(number % FOLDERS) / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(SMALL_SIZE))
    return folder


def _large(folder: Path) -> Path:
    folder.mkdir()
    with (folder / "file").open("wb") as file:
        for _ in range(LARGE_SIZE >> 24):
            file.write(os.urandom(1 << 24))
    return folder
