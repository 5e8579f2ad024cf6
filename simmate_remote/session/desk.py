"""The desk of a host as programs here have it, from any thread; the way there is the session of the host."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import logging
import shlex
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from simmate_remote.errors import (
    FolderFullError,
    KeeperError,
    Remedy,
    RunDamagedError,
    RunsUnavailableError,
    SessionStoppedError,
    SimmateRemoteError,
)
from simmate_remote.inventory import Host
from simmate_remote.link import Ask
from simmate_remote.runs.host.spec import Spec
from simmate_remote.session.background import background
from simmate_remote.session.client import SessionClient, find, no_session
from simmate_remote.session.handing_over import PART, HandingOver
from simmate_remote.session.join import join
from simmate_remote.session.paths import desk_path
from simmate_remote.session.state import change_in_words
from simmate_remote.streams.calls import Caller

logger = logging.getLogger(__name__)

PATIENCE_FOR_ANSWER = 3.0
PATIENCE_FOR_REASON = 5.0
PATIENCE_FOR_LEAVING = 30.0


class Desk:
    """A host's desk; :meth:`open` connects to it.

    A session that this has to make ends with it, and all that runs on the host, unless a run there is unfinished.

    Args:
        host: The host.

    Attributes:
        host: The host.
        made_session: Whether the session was made by this.
        ended: Why the session is gone; None while it lives.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.made_session = False
        self.ended: SimmateRemoteError | None = None
        self._session: SessionClient | None = None
        self._caller: Caller | None = None
        self._watching: asyncio.Task[None] | None = None
        self._lasts = False
        self._successor: Desk | None = None

    @property
    def name(self) -> str:
        """What the user calls the host."""
        return self.host.name

    def again(self) -> Desk:
        """Give the desk that is there now, after the connection to this one has ended.

        Raises:
            NoSessionError: Nothing is connected to the host.
        """
        if self.ended is None:
            return self
        if self._successor is None:
            successor = Desk(self.host)
            successor.open(start=False)
            self._successor = successor
        return self._successor.again()

    def open(
        self,
        *,
        start: bool = True,
        ask: Ask | None = None,
        step: Callable[[str], None] = lambda _: None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        """Connect to it, by the host's session.

        Args:
            start: Whether to make a session if there is none.
            ask: Answers what a login asks; default: the terminal, if there is one.
            step: Told what is being done.
            notice: Told when the host cannot be reached any more, and when it can again; default: a warning in the log.

        Raises:
            SimmateRemoteError: It could not connect.
        """
        background.do(self._open(start, ask or _terminal(), step, notice or _warn))

    def call(self, name: str, /, **arguments: Any) -> Any:
        """Ask it something; see :class:`simmate_remote.runs.host.service.DeskService`.

        Raises:
            SimmateRemoteError: Its answer, or that it is gone.
        """
        return background.do(self._call(name, arguments))

    def create(self, specs: Iterable[Spec], blobs: Mapping[str, bytes]) -> dict[str, str]:
        """Hand runs over; when this returns, the host's disk has them.

        Args:
            specs: What they are.
            blobs: What they share, by digest.

        Returns:
            Their folders on the host, by id.

        Raises:
            SimmateRemoteError: They were not taken, or not all: then its ``meanwhile`` says which were.
            KeyboardInterrupt: Somebody has interrupted it; its text says which were taken, if any were.
        """
        handing = HandingOver(self.host.name, self._call, self._is_gone, list(specs), blobs)
        future: Future[dict[str, str]] | None = None
        try:
            future = background.begin(self._create(handing))
            return future.result()
        except KeyboardInterrupt:
            handing.stop()
            # What is under way is answered in a moment, most often: then it is known what was taken, and not guessed.
            with contextlib.suppress(KeyboardInterrupt):
                handing.over.wait(PATIENCE_FOR_ANSWER)
            if future is not None:
                future.cancel()
            raise KeyboardInterrupt(*filter(None, [handing.taken_in_words()])) from None

    def fetch(self, run: str, path: str, sha256: str = "") -> bytes:
        """Give the content of a file in a run's folder.

        Raises:
            RunDamagedError: It has another checksum.
            SimmateRemoteError: There is no such file, or the desk is gone.
        """
        content = background.do(self._fetch("read", {"id": run, "path": path}))
        if sha256 and hashlib.sha256(content).hexdigest() != sha256:
            raise RunDamagedError(f"the file {path} of the run {run} was changed, or cut short", host=self.host.name)
        return content

    def blob(self, digest: str) -> bytes:
        """Give what runs share: own code, or large parameters.

        Raises:
            RunDamagedError: It was changed, or cut short.
            SimmateRemoteError: There is none, or the desk is gone.
        """
        content = background.do(self._fetch("blob", {"digest": digest}))
        if hashlib.sha256(content).hexdigest() != digest:
            raise RunDamagedError(f"what runs share was changed, or cut short: {digest}", host=self.host.name)
        return content

    def follow(
        self, name: str, ids: Iterable[str], take: Callable[[dict[str, Any]], None], **further: Any
    ) -> Future[None]:
        """Let news be taken as they come, until all are told, or the desk is gone: then the future has the reason.

        Args:
            name: ``outcomes`` or ``events``.
            ids: The runs'.
            take: Called with each item, in another thread.
            further: Further arguments.
        """
        return background.begin(self._follow(name, list(ids), take, further))

    @property
    def dashboard_link(self) -> str:
        """The address of the host's dashboard on this machine."""
        return str(background.do(self._living_session().access())["dashboard"])

    def close(self, *, stay: bool = False) -> None:
        """Let go of it; what runs there goes on, if anything does.

        Args:
            stay: Whether a session that was made for this stays in any case.
        """
        if self._successor is not None:
            self._successor.close()
        background.do(self._close(stay))

    # In the other thread

    async def _open(
        self, start: bool, ask: Ask | None, step: Callable[[str], None], notice: Callable[[str], None]
    ) -> None:
        if start:
            self._session = await join(self.host, lasting=False, ask=ask, step=step)
        else:
            self._session = await find(self.host)
            if not await self._session.is_welcome():  # it is in its last moments
                raise no_session(self.host)
            await self._session.follow(ask, step)
        self.made_session = self._session.started
        try:
            path = desk_path(self.host)
            await self._session.open_desk(path)
            _, self._caller = await asyncio.get_running_loop().create_unix_connection(Caller, str(path))
        except BaseException:
            await self._close()
            raise
        self._watching = asyncio.create_task(self._watch(notice))

    def _living_session(self) -> SessionClient:
        if self._session is None:
            raise SessionStoppedError("the connection to the desk is closed", host=self.host.name)
        return self._session

    async def _watch(self, notice: Callable[[str], None]) -> None:
        assert self._session is not None
        before: dict[str, Any] | None = None

        def change(report: dict[str, Any]) -> None:
            nonlocal before
            notice(f"{self.host.name}: {change_in_words(report, before)}")
            before = report

        self.ended = await self._session.wait_stopped(change)
        self.made_session = False
        if not self._session.gone:
            self._session.notice_end()
        if self._caller is not None:
            self._caller.close()

    async def _call(self, name: str, arguments: dict[str, Any]) -> Any:
        assert self._caller is not None
        try:
            return await self._caller.call(name, **arguments)
        except FolderFullError as error:
            raise self._with_remedies(error) from error
        except KeeperError as error:
            raise await self._reason(error) from error

    def _with_remedies(self, error: FolderFullError) -> FolderFullError:
        """Say of a full disk there what can be typed here."""
        name = shlex.quote(self.host.name)
        remedies = (
            Remedy(f"simmate-remote doctor {name}", "its check folder says how full it is, and how to see of what"),
            Remedy(f"simmate-remote runs list --on {name}", "shows what `runs remove` could make space of"),
        )
        return FolderFullError(
            error.what, host=self.host.name, folder=error.folder, meanwhile=error.meanwhile, remedies=remedies
        )

    async def _reason(self, error: KeeperError) -> SimmateRemoteError:
        """Say why the desk is gone, where that is what an error is about."""
        if not self._is_gone():
            error.host = error.host or self.host.name
            return error
        if self._watching is not None:
            await asyncio.wait({self._watching}, timeout=PATIENCE_FOR_REASON)
        return self.ended or RunsUnavailableError("the desk for runs on this host is gone", host=self.host.name)

    async def _create(self, handing: HandingOver) -> dict[str, str]:
        if not self._lasts:
            # A run is not lost with the program that wanted it, nor with another one, which has made the session: from
            # now on this stays until the run is finished.
            await self._living_session().last(for_runs=True)
            self._lasts = True
        return await handing.folders()

    def _is_gone(self) -> bool:
        return self._caller is None or self._caller.closed.is_set()

    async def _fetch(self, name: str, what: dict[str, str]) -> bytes:
        """Call for all parts of something."""
        content = bytearray()
        while True:
            part = await self._call(name, {**what, "offset": len(content), "length": PART})
            content += base64.b64decode(part["data"])
            if len(content) >= part["size"] or not part["data"]:
                return bytes(content)

    async def _follow(
        self, name: str, ids: list[str], take: Callable[[dict[str, Any]], None], further: dict[str, Any]
    ) -> None:
        assert self._caller is not None
        try:
            async for item in self._caller.items(name, ids=ids, **further):
                take(item)
        except KeeperError as error:
            raise await self._reason(error) from error

    async def _close(self, stay: bool = False) -> None:
        if self._session is None:
            return
        session, self._session = self._session, None
        if self._watching is not None:
            self._watching.cancel()
        if self.made_session and not session.gone and not (stay and self._lasts):
            with contextlib.suppress(SimmateRemoteError, TimeoutError):
                async with asyncio.timeout(PATIENCE_FOR_LEAVING):
                    if self._caller is None:
                        # It was interrupted on its way to the desk; whether it is meant to last the session knows.
                        await session.stop()
                    elif not (await self._call("describe", {}))["unfinished"]:
                        # Other programs' runs count, too.
                        await session.stop(end_everything=True)
        if self._caller is not None:
            self._caller.close()
        session.close()
        await session.wait_closed()


def _warn(text: str) -> None:
    logger.warning("%s", text)


def _terminal() -> Ask | None:
    from simmate_remote.session.terminal import ask_terminal, has_terminal

    return ask_terminal if has_terminal() else None
