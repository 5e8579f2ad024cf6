"""What the near end hears from a host while its part there is being started, and what that means to a person."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from collections.abc import Iterator
from typing import Any, cast

from simmate_remote.errors import (
    ForbiddenByServerError,
    KeeperElsewhereError,
    KeeperError,
    KeeperGoneError,
    LinkLostError,
    Remedy,
    RemotePythonError,
    SimmateRemoteError,
)
from simmate_remote.keeper.host.record import Previous, Record
from simmate_remote.keeper.shell_command import OLDEST_PYTHON
from simmate_remote.link.base import Destination
from simmate_remote.streams.carrier import ENDED_UNANSWERED, NotTakenError

STEP_TIMEOUT = 60.0
CANNOT_BE_RUN = (126, 127)
"""Exit statuses of a shell that could not execute its command: POSIX.1-2024, XCU 2.8.2."""
MAX_NOISE = 64 * 1024
"""Bytes of noise that are kept as evidence, and of one line."""

MAX_WORDS = 16
"""Words that nobody has heard yet; our part there never says as many."""


class Dialogue(asyncio.Protocol):
    """Listens to the host's words between the noise of its login shell, until the carrier takes over.

    Args:
        destination: The host, for messages.
        nonce: What each word begins with.
        python: What is run there, for messages.
    """

    def __init__(self, destination: Destination, nonce: str, python: str) -> None:
        self._host = destination.host
        self._ssh = destination.ssh_command()
        self._python = python
        self._mark = nonce.encode() + b" "
        self._transport: asyncio.Transport | None = None
        self._noise = bytearray()
        self._line = bytearray()
        self._words: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._successor: asyncio.Protocol | None = None
        self._lost = False
        self._why_lost: Exception | None = None

    async def hear(self, expected: str) -> dict[str, Any]:
        """Wait for the host's next word.

        Raises:
            SimmateRemoteError: Another word came, or none in time; with what the host wrote meanwhile.
        """
        try:
            word = await asyncio.wait_for(self._words.get(), STEP_TIMEOUT)
        except TimeoutError as error:
            raise KeeperError(
                f"no answer from the host for {STEP_TIMEOUT:.0f} s after login",
                host=self._host,
                remedies=(
                    Remedy(f"{self._ssh} true", "if this takes as long, a start-up file of the shell there waits"),
                ),
                detail=self._evidence(),
            ) from error
        if word is None:
            raise self._ended_early()
        if word.startswith(b"{}"):
            raise self._no_python(word[2:].decode(errors="replace").lstrip())
        with self.understanding():
            return self._understand(json.loads(word), expected)

    @contextlib.contextmanager
    def understanding(self) -> Iterator[None]:
        """Translate what is raised when a word of the host does not have the form that our part there gives it.

        Raises:
            KeeperError: It has not.
        """
        try:
            try:
                yield
            except SimmateRemoteError as error:
                str(error)  # a date that is none would only show when it is printed
                raise
        except SimmateRemoteError:
            raise
        except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            raise KeeperError(
                "what the host answered cannot be understood",
                host=self._host,
                remedies=(Remedy(f"{self._ssh} true", "shows what the shell there prints by itself"),),
                detail=self._evidence(),
            ) from error

    def _understand(self, data: dict[str, Any], expected: str) -> dict[str, Any]:
        if data["at"] == "gone":
            raise gone(self._host, Previous(**data["previous"]) if data["previous"] else None)
        if data["at"] == "elsewhere":
            raise elsewhere(self._host, Record(**data["record"]))
        if data["at"] != expected:
            raise KeeperError(
                f"the keeper could not be started: {data.get('error', data)}",
                host=self._host,
                meanwhile="nothing was started there",
                remedies=(
                    Remedy(f"{self._ssh} 'df -h ~; ls -ld ~'", "shows whether the disk is full, and whose the home is"),
                    Remedy(f"simmate-remote hosts show {self._host}", "`folder:` names another place for our files"),
                ),
                detail=self._evidence(),
            )
        return data

    def hand_over(self, successor: asyncio.Protocol) -> None:
        """Let another protocol have the connection from now on.

        Raises:
            NotTakenError: There is none any more.
        """
        assert self._transport is not None
        if self._lost:
            raise NotTakenError(ENDED_UNANSWERED)
        self._successor = successor
        successor.connection_made(self._transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._successor is not None:
            self._successor.data_received(data)
            return
        # Only what is new is searched: noise may come in many pieces.
        *ends, rest = bytes(data).split(b"\n")
        for end in ends:
            line = bytes(self._line) + end
            self._line.clear()
            if line.startswith(self._mark) and self._words.qsize() < MAX_WORDS:
                self._words.put_nowait(line.removeprefix(self._mark))
            else:
                self._noise += line + b"\n"
        self._line += rest
        del self._noise[:-MAX_NOISE], self._line[:-MAX_NOISE]

    def eof_received(self) -> bool | None:
        return self._successor.eof_received() if self._successor is not None else False

    def pause_writing(self) -> None:
        if self._successor is not None:
            self._successor.pause_writing()

    def resume_writing(self) -> None:
        if self._successor is not None:
            self._successor.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._why_lost = exc
        if self._successor is not None:
            self._successor.connection_lost(exc)
        self._words.put_nowait(None)

    def _evidence(self) -> str | None:
        assert self._transport is not None
        errors = bytes(self._transport.get_extra_info("stderr") or b"")
        text = (self._noise + self._line + errors).decode(errors="replace").strip()
        return text[-2000:] or None

    def _ended_early(self) -> Exception:
        assert self._transport is not None
        status = self._transport.get_extra_info("exit_status")
        if status is None and self._why_lost is not None:
            return LinkLostError("the connection was lost while the keeper was being started", host=self._host)
        if status in CANNOT_BE_RUN:
            return self._no_python(f"{self._python} : ")
        told = "no exit status" if status is None else f"exit status {status}"
        return ForbiddenByServerError(
            f"the login works, but the command that starts the keeper ended at once ({told})",
            host=self._host,
            meanwhile="nothing was started there",
            remedies=(Remedy(f"{self._ssh} /bin/sh -c true", "shows whether commands may be run there at all"),),
            detail=self._evidence(),
        )

    def _no_python(self, found: str) -> RemotePythonError:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        if not found:
            what = "no Python was found there"
        else:
            path, _, version = found.rpartition(" : ")
            what = f"the Python there is too old: {path} is {version.strip().replace(' ', '.')}, and {oldest} is needed"
            if not version.strip():
                what = f"the Python there does not run: {path}"
        return RemotePythonError(
            what,
            host=self._host,
            meanwhile="nothing was started there",
            detail=self._evidence(),
            remedies=(
                Remedy(f"simmate-remote setup {self._host}", "finds a Python there, or brings one"),
                Remedy(f"simmate-remote hosts show {self._host}", "`python:` names another interpreter or environment"),
                Remedy(f"{self._ssh} 'ls /usr/bin/python3*'", "shows what is installed there"),
            ),
        )


def gone(host: str, previous: Previous | None) -> KeeperGoneError:
    """Say that no keeper runs there, and what became of the last one, if anything is known."""
    return KeeperGoneError(
        f"nothing of ours runs there: {previous}" if previous else "nothing of ours runs there",
        host=host,
        since=previous.ended if previous else None,
        remedies=(Remedy(f"simmate-remote connect {host}", "starts scheduler and workers"),),
        detail=(previous.detail or None) if previous else None,
    )


def elsewhere(host: str, record: Record) -> KeeperElsewhereError:
    """Say that another machine behind the same name has the keeper, and how to get there."""
    place = f"{record.hostname} ({record.address})" if record.address else record.hostname
    way = shlex.quote(record.address or record.hostname)
    return KeeperElsewhereError(
        f"this login led to another machine than the one that has scheduler and workers: they are on {place}",
        host=host,
        hostname=record.hostname,
        address=record.address,
        port=record.port,
        since=record.since,
        meanwhile="all that goes on there",
        remedies=(
            Remedy(f"ssh {way} true", "shows whether that machine can be reached itself"),
            Remedy(f"simmate-remote hosts show {host}", f"`ssh:` can name it: {way}"),
            Remedy(f"simmate-remote connect {host} --here", "starts afresh where the login leads"),
        ),
    )
