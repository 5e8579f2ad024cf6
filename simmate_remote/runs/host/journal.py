"""The journal: what has happened to runs, in the order in which it was written down; lines are only ever added.

Each line is a JSON object. The first one names the journal: ``{"journal": "<random>", "version": 1}``; every other is
one event of one run, ``{"time": …, "run": …, "event": …, …}``. A reader keeps the offset that it has read to, which is
good for as long as the journal has its name. One writer at a time: whoever has locked the file ``desk.lock`` beside it.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from simmate_remote.errors import RunDamagedError
from simmate_remote.runs.host.durable import read_part, sync, write_all, write_once

logger = logging.getLogger(__name__)

VERSION = 1
PART = 1024 * 1024
"""Bytes that are read at once."""

LONG = 1024 * 1024
"""Bytes of a line that are written at the most; with its neighbours it has to fit into one answer."""

_NAMES = frozenset({"run", "event", "worker", "node", "workflow", "workflow_version", "folder", "started_by"})
"""What of an event is a short text."""

LONGEST = 8 * PART
"""Bytes of a line; none that was ever written is so long, so something else is in the file."""


class Part(NamedTuple):
    """Some of a journal.

    Args:
        offset: Where the next part begins.
        lines: Events, in their order.
    """

    offset: int
    lines: list[dict[str, Any]]


class Journal:
    """A journal, to be read.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def name(self) -> str | None:
        """Give its name; None: there is no journal yet.

        Raises:
            RunDamagedError: It was written by a later version of this program.
        """
        return _name(read_part(self.path, 0, 4096))

    def read(self, offset: int) -> Part:
        """Give what follows an offset: complete lines, up to about a megabyte.

        A line that cannot be read is passed over: what it told stands in the run's folder, too.

        Args:
            offset: 0, or where an earlier part has ended.

        Returns:
            No lines and the same offset at the end; and also where the journal is shorter than the offset, since it is
            then another one than was read before.
        """
        content = read_part(self.path, offset, PART)
        while b"\n" not in content and len(content) >= PART:
            if len(content) > LONGEST:
                # No line of ours: the rest of the file may have some again.
                return Part(offset + len(content), [])
            content += read_part(self.path, offset + len(content), PART)
        complete = content[: content.rfind(b"\n") + 1]
        return Part(offset + len(complete), [line for line in map(_event, complete.split(b"\n")) if line])

    def events(self, offset: int = 0) -> Iterator[dict[str, Any]]:
        """Yield all events that follow an offset."""
        while True:
            part = self.read(offset)
            yield from part.lines
            if part.offset == offset:
                return
            offset = part.offset

    def size(self) -> int:
        """Give how many bytes there are to read."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0


class JournalWriter(Journal):
    """A journal, to be written by whoever holds its lock.

    A line that its last writer did not come to the end of is taken back: nobody has read it.

    Args:
        path: The file; made if there is none.

    Attributes:
        end: Up to where the disk has it.

    Raises:
        RunDamagedError: It was written by a later version of this program, which alone may go on with it.
        OSError: The disk is full, or the file not to be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if not _readable(path):
            if path.exists():
                path.replace(path.with_name(f"{path.name}.unreadable-{secrets.token_hex(4)}"))
            write_once(path, json.dumps({"journal": secrets.token_hex(8), "version": VERSION}).encode() + b"\n")
            sync(path.parent)
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self.end = self._repair()

    def append(self, events: Iterable[dict[str, Any]], *, sync: bool = True) -> None:
        """Add events.

        Args:
            events: What has happened, in its order.
            sync: Whether to wait until the disk has them.

        Raises:
            OSError: The disk is full, and nothing was added.
        """
        data = b"".join(map(_line, events))
        if not data:
            return
        try:
            write_all(self._fd, data)
            if sync:
                os.fdatasync(self._fd)
        except OSError:
            # A part of them may be there, and the next line must not join its end.
            os.ftruncate(self._fd, self.end)
            raise
        self.end += len(data)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _repair(self) -> int:
        size = os.fstat(self._fd).st_size
        end = size
        while end and os.pread(self._fd, 1, end - 1) != b"\n":
            begin = max(0, end - PART)
            end = begin + os.pread(self._fd, end - begin, begin).rfind(b"\n") + 1
        if end < size:
            os.ftruncate(self._fd, end)
        return end


def _line(event: dict[str, Any]) -> bytes:
    """Give an event's line; one that nobody could take is told without what makes it so."""
    try:
        line = json.dumps(event, default=str).encode() + b"\n"
    except (ValueError, RecursionError) as error:
        logger.warning("an event of the run %s cannot be told whole: %s", event.get("run"), error)
        line = b""
    if line and len(line) <= LONG:
        return line
    short = {name: value for name, value in event.items() if isinstance(value, int | float | None) or name in _NAMES}
    return json.dumps(short).encode() + b"\n"


def _readable(path: Path) -> bool:
    return _name(read_part(path, 0, 4096)) is not None


def _name(beginning: bytes) -> str | None:
    line, end, _ = beginning.partition(b"\n")
    if not end:
        return None
    first = _object(line)
    if not isinstance(first.get("journal"), str):
        return None
    if first.get("version") != VERSION:
        raise RunDamagedError(
            f"the journal of runs was written by another version of simmate-remote (form {first.get('version')!r}, and "
            f"this one knows {VERSION})",
            meanwhile="it was left as it is",
        )
    return str(first["journal"])


def _event(line: bytes) -> dict[str, Any] | None:
    data = _object(line)
    return data if isinstance(data.get("run"), str) and isinstance(data.get("event"), str) else None


def _object(line: bytes) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
