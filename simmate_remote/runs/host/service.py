"""What the desk can be asked over its socket, which only the host's user can open: calls, a line of JSON each."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from simmate_remote.errors import FolderFullError, RunDamagedError, RunNotFoundError, SimmateRemoteError
from simmate_remote.runs.host.desk import Desk
from simmate_remote.runs.host.execution import FULL
from simmate_remote.runs.host.outcome import INLINE, RunOutcome
from simmate_remote.runs.host.parts import read_inside
from simmate_remote.runs.host.spec import Spec
from simmate_remote.streams.calls import Caller
from simmate_remote.version import __version__

PATIENCE = 10.0
"""Seconds that a question waits for a desk that waits itself."""

LOOK = 0.5
PART = 1024 * 1024


class Opening:
    """A desk that is being opened: whoever asks it something waits for that, or hears why it is not."""

    def __init__(self) -> None:
        self._ready = asyncio.Event()
        self._desk: Desk | None = None
        self._error: SimmateRemoteError | None = None

    def done(self, desk: Desk) -> None:
        """Let it be open."""
        self._desk = desk
        self._ready.set()

    def failed(self, error: SimmateRemoteError) -> None:
        """Let it be known that there will be none."""
        self._error = error
        self._ready.set()

    def waits(self, error: SimmateRemoteError) -> None:
        """Let it be known what it waits for."""
        self._error = error

    async def desk(self) -> Desk:
        """Give the desk.

        Raises:
            SimmateRemoteError: Why there is none.
        """
        while self._desk is None:
            try:
                await asyncio.wait_for(self._ready.wait(), PATIENCE)
            except TimeoutError:
                if self._error is None:
                    continue  # it reads what it finds
            if self._desk is None and self._error is not None:
                raise self._error
        return self._desk


async def serve(listening: socket.socket, opening: Opening) -> Callable[[], Awaitable[None]]:
    """Answer whoever connects to a socket, and give what ends that.

    Args:
        listening: The socket.
        opening: The desk.
    """
    callers: set[DeskService] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: DeskService(opening, callers), sock=listening)

    async def end() -> None:
        server.close()
        for caller in list(callers):
            caller.close()

    return end


class DeskService(Caller):
    """One connection to the desk.

    Args:
        opening: The desk.
        callers: All connections.
    """

    def __init__(self, opening: Opening, callers: set[DeskService]) -> None:
        names = ("describe", "put", "create", "journal", "status", "events", "outcome", "outcomes", "read",
                 "blob", "ask", "cancel", "restart", "remove", "output")  # fmt: skip
        super().__init__({name: getattr(self, name) for name in names})
        self._opening = opening
        self._callers = callers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._callers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._callers.discard(self)

    async def describe(self) -> dict[str, Any]:
        """Say which journal this is, where, how long, what time it is here, and how many runs are unfinished."""
        desk = await self._opening.desk()
        return {
            "journal": await desk.in_thread(desk.store.journal.name),
            "end": desk.scribe.end,
            "folder": str(desk.store.path),
            "time": time.time(),
            "version": __version__,
            "unfinished": len(desk.live),
            "pid": os.getpid(),
        }

    async def put(self, digest: str, offset: int, data: str, size: int) -> None:
        """Take a part of a blob; the last one completes it."""
        desk = await self._opening.desk()
        with _in_words(desk, "nothing was taken in"):
            await desk.in_thread(lambda: desk.store.put_part(digest, offset, base64.b64decode(data), size))

    async def create(self, runs: list[dict[str, Any]], blobs: list[str]) -> dict[str, Any]:
        """Take runs in, unless blobs that they need are not here; when this answers, the disk has them.

        Args:
            runs: Their specifications.
            blobs: The digests of what they need.

        Returns:
            ``missing``: the blobs that are not here, and without which nothing was taken in; ``folders`` of the runs.
        """
        desk = await self._opening.desk()
        missing = await desk.in_thread(lambda: desk.store.missing(blobs))
        if missing:
            return {"missing": missing, "folders": {}}
        with _in_words(desk, "nothing was taken in"):
            return {"missing": [], "folders": await desk.create([Spec.from_dict(each) for each in runs])}

    async def journal(self, offset: int, follow: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Yield what follows an offset in the journal."""
        desk = await self._opening.desk()
        async for part in desk.scribe.lines(offset, follow=follow):
            yield part

    async def status(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        """Say how runs stand; those that are not there are left out."""
        return await (await self._opening.desk()).news.status(ids)

    async def events(self, ids: list[str]) -> AsyncIterator[dict[str, Any]]:
        """Yield how runs stand and what they report, for ever."""
        desk = await self._opening.desk()
        async for item in desk.news.events(ids):
            yield item

    async def outcome(self, id: str) -> dict[str, Any]:  # noqa: A002 - the word of the protocol
        """Wait for the end of a run, and say how it ended."""
        async for item in self.outcomes([id]):
            return item
        raise RunNotFoundError(f"there is no run {id}", run=id)

    async def outcomes(self, ids: list[str], inline: int = INLINE) -> AsyncIterator[dict[str, Any]]:
        """Yield how runs end, as they do; results of more bytes than ``inline`` are left out."""
        desk = await self._opening.desk()
        async for outcome in desk.news.outcomes(ids):
            yield _told(desk, outcome, inline)

    async def read(self, id: str, path: str, offset: int, length: int) -> dict[str, Any]:  # noqa: A002
        """Give a part of a file in a run's folder, and the file's size."""
        desk = await self._opening.desk()
        folder = desk.store.run(id).path
        data, size = await desk.in_thread(partial(read_inside, folder, path, offset, min(length, PART)))
        return {"data": base64.b64encode(data).decode(), "size": size}

    async def blob(self, digest: str, offset: int, length: int) -> dict[str, Any]:
        """Give a part of a blob, and the blob's size."""
        desk = await self._opening.desk()
        blob = desk.store.blob(digest)
        try:
            data, size = await desk.in_thread(partial(read_inside, blob.parent, blob.name, offset, min(length, PART)))
        except RunNotFoundError as error:
            raise RunDamagedError(f"what runs share is gone: {blob}") from error
        return {"data": base64.b64encode(data).decode(), "size": size}

    async def ask(self, function: str, arguments: list[Any]) -> list[Any]:
        """Call a function of this package on one worker of each machine, and give its answers."""
        return await (await self._opening.desk()).ask(function, arguments)

    async def cancel(self, id: str) -> str:  # noqa: A002
        """End a run, and give how it stands: what ended before stays as it is."""
        desk = await self._opening.desk()
        with _in_words(desk, "nothing was changed"):
            return await desk.cancel(id)

    async def restart(self, id: str) -> None:  # noqa: A002
        """Let a run that failed or was cancelled run again."""
        desk = await self._opening.desk()
        with _in_words(desk, "nothing was changed"):
            await desk.restart(id)

    async def remove(self, id: str) -> None:  # noqa: A002
        """Remove a run that has ended."""
        await (await self._opening.desk()).remove(id)

    async def output(self, id: str, offset: int = 0, follow: bool = False) -> AsyncIterator[dict[str, Any]]:  # noqa: A002
        """Yield what a run has printed, from an offset on, until it has ended."""
        desk = await self._opening.desk()
        folder = desk.store.run(id).path
        while True:
            going_on = follow and id in desk.live
            while True:
                try:
                    data, _ = await desk.in_thread(partial(read_inside, folder, "output.log", offset, PART))
                except RunNotFoundError:
                    data = b""
                if not data:
                    break
                offset += len(data)
                yield {"offset": offset, "data": base64.b64encode(data).decode()}
            if not going_on:
                return
            await asyncio.sleep(LOOK)


class _in_words:  # noqa: N801 - reads as words at its place of use
    """Tell a full disk as what it is."""

    def __init__(self, desk: Desk, untouched: str) -> None:
        self._desk = desk
        self._untouched = untouched

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, SimmateRemoteError):
            folder = self._desk.store.path
            full = "there is no space, or no quota, " if error.errno in FULL else f"{error.strerror}: nothing is taken "
            raise FolderFullError(
                f"{full}in the folder of runs, {folder}",
                folder=str(folder),
                meanwhile=f"{self._untouched}; runs that are there go on",
            ) from error


def _told(desk: Desk, outcome: RunOutcome, inline: int) -> dict[str, Any]:
    """Give an outcome as it travels: with its folder, and where a large result is."""
    about = outcome.as_dict() | {"folder": str(desk.store.path / outcome.run)}
    if outcome.size > inline:
        about["result"] = None
    return about
