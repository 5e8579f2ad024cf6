"""The wall clock of the box, ahead or behind, by libfaketime in every SSH session that begins there."""

from __future__ import annotations

from pathlib import Path

from tests.lab.box import SYSTEM_PYTHON, Box

# By itself, libfaketime makes shared memory for each family of processes and removes it when the first of them ends,
# which kills those that stay. These files belong to root, in a folder with the sticky bit: they remain.
SHARED = ("/faketime-semaphore", "/faketime-ticks")
MAKE_SHARED = f"""
import ctypes, os
os.umask(0)
assert ctypes.CDLL("libc.so.6").sem_open(b"{SHARED[0]}", os.O_CREAT, 0o666, 1)
with open("/dev/shm{SHARED[1]}", "wb") as file:
    file.truncate(4096)
"""


def find_libfaketime() -> Path | None:
    """Return the library, if it is installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def prepare_clock(box: Box, offset: float) -> dict[str, str]:
    """Return the environment that makes processes of the box see a wrong time.

    Monotonic time stays true: only what a person would call the date is wrong, as on a real machine.

    Args:
        box: Where they will run.
        offset: Seconds ahead; negative: behind; 0: the true time.
    """
    if not offset:
        return {}
    box.run("root", [SYSTEM_PYTHON, "-I", "-S", "-c", MAKE_SHARED])
    return {
        "LD_PRELOAD": str(find_libfaketime()),
        "FAKETIME": f"{offset:+.0f}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_SHARED": " ".join(SHARED),
    }
