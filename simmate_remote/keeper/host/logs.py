"""Logs on the host: one file for each process, read in pieces, followed as they grow."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from simmate_remote.errors import KeeperError
from simmate_remote.keeper.host.log_folder import log_file

PIECE = 64 * 1024
POLL = 0.2


class Logs:
    """The log files of one keeper.

    Args:
        folder: Where they are; :func:`simmate_remote.keeper.host.log_folder.make_log_folder` makes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Give the file of a process."""
        if "/" in name or name.startswith("."):
            raise KeeperError(f"{name!r} is no name of a log")
        return log_file(self.folder, name)

    def listing(self) -> list[dict[str, Any]]:
        """Give names and sizes (in bytes) of what is there."""
        return [{"name": path.stem, "size": path.stat().st_size} for path in sorted(self.folder.glob("*.log"))]

    def tail(self, name: str, size: int = 4000) -> str:
        """Give the last bytes of a log as text."""
        path = self.path(name)
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            data = file.read()
        return (_from_a_character(data) if len(data) == size else data).decode(errors="replace")

    async def read(self, names: list[str] | None = None, *, last: int, follow: bool) -> AsyncIterator[dict[str, str]]:
        """Yield pieces of logs, each with its process's name; go on for ever if ``follow``.

        Args:
            names: Which logs; default: all, those that appear later included.
            last: How many of the bytes that are there now.
            follow: Whether to go on with what is written from now on.
        """
        positions: dict[str, int] = {}
        decoders: dict[str, codecs.IncrementalDecoder] = {}
        first = True
        while True:
            moved = False
            for entry in self.listing():
                name, size = entry["name"], entry["size"]
                if names is not None and name not in names:
                    continue
                position = positions.setdefault(name, max(0, size - last) if first else 0)
                if size > position:
                    with self.path(name).open("rb") as file:
                        file.seek(position)
                        data = file.read(min(PIECE, size - position))
                    positions[name] += len(data)
                    moved = True
                    if name not in decoders:
                        # A piece may end inside a character; a decoder keeps its beginning for the next.
                        decoders[name] = codecs.getincrementaldecoder("utf-8")("replace")
                        data = _from_a_character(data) if position else data
                    if text := decoders[name].decode(data):
                        yield {"name": name, "text": text}
            first = False
            if not moved:
                if not follow:
                    return
                await asyncio.sleep(POLL)


def _from_a_character(data: bytes) -> bytes:
    """Drop the rest of a character that begins before the data: at most three bytes of the form 10xxxxxx."""
    start = 0
    while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:]
