"""Both ends of a transfer in one process, joined by a socket: all of push and pull but the way to a host."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from simmate_remote.files.host.frames import Bytes, FrameReader, FrameWriter
from simmate_remote.files.host.order import Problem, Tally
from simmate_remote.files.host.receiving import Receiver
from simmate_remote.files.host.sending import Sender
from simmate_remote.files.host.sources import Listed, Walk, find_sources
from simmate_remote.files.host.target import Tree

LIMIT = 30.0


class Copied(NamedTuple):
    """What the two ends counted."""

    sender: Tally
    receiver: Tally


def copy(
    *paths: Path | str,
    to: Path,
    dry_run: bool = False,
    checksum: bool = False,
    expand: bool = False,
    writev: Callable[[socket.socket, list[Bytes]], int] | None = None,
    listing: Callable[[Iterator[Listed]], Iterator[Listed]] = iter,
) -> Copied:
    """Copy as ``push`` does.

    Args:
        paths: What is named.
        to: The target.
        dry_run: As for ``push``.
        checksum: The same.
        expand: Whether wildcards are read, as for ``pull``.
        writev: What the sender writes with.
        listing: Changes the sender's list.

    Raises:
        Exception: What the receiver raised; or else the sender.
    """
    ours, theirs = socket.socketpair()
    sent, received = Tally(), Tally()
    failed: list[Exception] = []

    def receive() -> None:
        with theirs:
            try:
                reader, writer = FrameReader(theirs.recv_into), FrameWriter(theirs.sendmsg)
                tree = Tree(os.fsencode(to), dry_run=dry_run)
                Receiver(reader, writer, received, tree, dry_run=dry_run, checksum=checksum).run()
            except Exception as error:  # noqa: BLE001 - raised below
                failed.append(error)

    receiver = threading.Thread(target=receive)
    receiver.start()
    with ours:
        try:
            write = ours.sendmsg if writev is None else lambda pieces: writev(ours, pieces)
            sender = Sender(
                FrameReader(ours.recv_into), FrameWriter(write), sent, dry_run=dry_run, hang_up=lambda: _hang_up(ours)
            )
            sources = find_sources([os.fspath(path) for path in paths], expand=expand, report=sender.report)
            sender.run(listing(iter(Walk(sources, sender.report))))
        except Exception as error:  # noqa: BLE001 - raised below
            failed.append(error)
        finally:
            _hang_up(ours)
            receiver.join(LIMIT)
    assert not receiver.is_alive()
    if failed:
        raise failed[0]
    return Copied(sent, received)


def _hang_up(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        assert sock.fileno() >= 0


def snapshot(folder: Path) -> dict[bytes, tuple[Any, ...]]:
    """Describe everything below a folder: kind, mode, time, and content or what a link leads to."""
    found: dict[bytes, tuple[Any, ...]] = {}
    for place, folders, files in os.walk(os.fsencode(folder)):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            about = os.lstat(path)
            inside = os.path.relpath(path, os.fsencode(folder))
            if stat.S_ISLNK(about.st_mode):
                found[inside] = "link", os.readlink(path), about.st_mtime_ns
            elif stat.S_ISREG(about.st_mode):
                content = Path(os.fsdecode(path)).read_bytes()
                found[inside] = "file", stat.S_IMODE(about.st_mode), about.st_mtime_ns, content
            else:
                found[inside] = "other", about.st_mode, about.st_mtime_ns
    return found


def failures(copied: Copied) -> list[Problem]:
    """Give what should have been copied and was not; both ends must agree on it."""
    assert sorted(copied.sender.problems) == sorted(copied.receiver.problems)
    return [problem for problem in copied.sender.problems if problem.failed]
