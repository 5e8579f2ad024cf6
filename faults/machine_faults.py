"""What is wrong with a machine: its clock, its disk, or a port that somebody else wants."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

from faults.fault import Happening
from faults.place import Place

DAY = 86_400
DISK = "~/simmate-remote"
DISK_SIZE = "96m"


def clock_wrong_by(offset: int) -> Happening:
    """Give the fault of a host whose clock is wrong.

    Args:
        offset: Seconds ahead; negative: behind.
    """

    @contextlib.contextmanager
    def wrong(place: Place, seconds: float) -> Iterator[None]:
        with place.lab.clock(offset):
            yield

    return wrong


@contextlib.contextmanager
def port_wanted(place: Place, seconds: float) -> Iterator[None]:
    """Let somebody else here take the session's ports as far as the kernel lets him, while the link is down."""
    place.box.cut()
    with contextlib.ExitStack() as taken:
        for port in place.about["ports"]:
            for address in ("127.0.0.1", "0.0.0.0"):
                stranger = taken.enter_context(socket.socket())
                stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                with contextlib.suppress(OSError):
                    stranger.bind((address, port))
                    stranger.listen()
        yield


@contextlib.contextmanager
def small_disk(place: Place, seconds: float) -> Iterator[None]:
    """Give our folder on the host a small disk of its own."""
    account = place.lab.accounts["researcher"]
    folder = f"{account.home}/simmate-remote"
    options = f"size={DISK_SIZE},mode=700,uid={account.uid},gid={account.uid}"
    _as_root(place)(f"mkdir -p {folder} && mount -t tmpfs -o {options} small {folder}")
    try:
        yield
    finally:
        # What has files open there may still be ending.
        _as_root(place)(f"umount --lazy {folder}")


@contextlib.contextmanager
def disk_full(place: Place, seconds: float) -> Iterator[None]:
    """Fill that disk to the last byte."""
    place.box.run(f"cat /dev/zero > {DISK}/filler")
    yield
    place.box.run(f"rm {DISK}/filler")


def _as_root(place: Place) -> Callable[[str], object]:
    return lambda command: place.lab.run("root", command)
