"""Where runs are: a folder for each, the journal, and what they share (own code and large parameters)."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from simmate_remote.errors import RunDamagedError, RunError, RunNotFoundError
from simmate_remote.runs.host.durable import sync_all, write_once
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.journal import Journal
from simmate_remote.runs.host.lock import is_held
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.identity import is_id

UNTOUCHED = 24 * 3600.0
"""Seconds that a blob stays which no run needs: one may be about to be created."""

_DIGEST = re.compile(r"[0-9a-f]{16,64}")


class RunStore:
    """All runs of a host, or of this machine.

    Args:
        path: The folder; made if need be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blobs = path / "blobs"
        if not self.blobs.is_dir():
            self.blobs.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def journal(self) -> Journal:
        """The journal, to be read."""
        return Journal(self.path / "journal")

    @property
    def lock(self) -> Path:
        """The file that the journal's writer locks."""
        return self.path / "desk.lock"

    def run(self, identity: str) -> RunFolder:
        """Give the folder of a run, whether it exists or not.

        Raises:
            RunNotFoundError: That is no id, but perhaps a path to somewhere else.
        """
        if not is_id(identity):
            raise RunNotFoundError(f"{identity[:100]!r} is no run's id")
        return RunFolder(self.path / identity)

    def ids(self) -> Iterator[str]:
        """Yield the ids of all runs that have a folder, in no order."""
        with os.scandir(self.path) as entries:
            yield from (entry.name for entry in entries if is_id(entry.name))

    def create(self, specs: Iterable[Spec], *, sync: bool = True) -> list[RunFolder]:
        """Write what some runs are.

        Args:
            specs: What they are.
            sync: Whether to wait until the disk has all of it.

        Raises:
            RunDamagedError: There is another run of one of these ids.
            OSError: The disk is full.

        Whatever it raises, what was written of these runs is removed again: the next desk would execute it.
        """
        made: list[RunFolder] = []
        new: list[RunFolder] = []
        try:
            for spec in specs:
                folder = self.run(spec.id)
                made.append(folder)
                if not folder.path.exists():
                    new.append(folder)
                folder.write_spec(spec)
            if sync:
                sync_all([*(folder.path / "spec.json" for folder in made), self.path])
        except BaseException:
            for folder in new:
                shutil.rmtree(folder.path, ignore_errors=True)
            raise
        return made

    def blob(self, digest: str) -> Path:
        """Give the path of a blob, whether it exists or not.

        Raises:
            RunNotFoundError: That is no digest.
        """
        if not _DIGEST.fullmatch(digest):
            raise RunNotFoundError(f"{digest[:100]!r} is no digest")
        return self.blobs / digest

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Say which blobs are not here; those that are, are needed again."""
        missing = []
        for digest in digests:
            try:
                os.utime(self.blob(digest))
            except FileNotFoundError:
                missing.append(digest)
        return missing

    def put(self, data: bytes) -> str:
        """Keep a blob, and give its digest."""
        digest = hashlib.sha256(data).hexdigest()
        write_once(self.blob(digest), data)
        return digest

    def put_part(self, digest: str, offset: int, data: bytes, size: int) -> None:
        """Take a part of a blob, and keep the blob once all of it is here.

        Args:
            digest: The blob's.
            offset: Where the part belongs.
            data: The part.
            size: Of the whole blob.

        Raises:
            RunDamagedError: It is not what its digest says.
            OSError: The disk is full.
        """
        if self.blob(digest).exists():
            return
        arriving = self.blobs / f".{digest}.arriving"
        fd = os.open(arriving, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, data, offset)
            if offset + len(data) < size:
                return
            os.ftruncate(fd, size)
        except OSError:
            arriving.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        content = arriving.read_bytes()
        arriving.unlink(missing_ok=True)
        if hashlib.sha256(content).hexdigest() != digest:
            raise RunDamagedError(f"what came as {digest} is something else", meanwhile="it was not kept")
        write_once(self.blob(digest), content)

    def remove(self, identity: str) -> None:
        """Remove a run's folder; what of it cannot be removed is no run any more.

        Raises:
            RunError: Somebody is still at work in it.
        """
        if is_held(self.run(identity).lock):
            raise RunError(
                f"the run {identity} has ended, and its function is still at work in its folder",
                run=identity,
                meanwhile="nothing was removed; Python code that was cancelled goes on until it looks",
            )
        folder = self.run(identity).path
        gone = self.path / f".removed-{identity}"
        try:
            folder.rename(gone)
        except FileNotFoundError:
            return
        shutil.rmtree(gone, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what nobody needs any more: blobs of no run, and what was broken off; nothing of the last day."""
        before = time.time() - UNTOUCHED
        for left in (*self.path.glob(".removed-*"), *self.blobs.glob(".*")):
            if _older(left, before):
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
        unneeded = {blob.name for blob in self.blobs.iterdir() if _DIGEST.fullmatch(blob.name) and _older(blob, before)}
        for identity in self.ids() if unneeded else ():
            try:
                spec = self.run(identity).spec()
            except RunNotFoundError:
                continue
            unneeded -= spec.blobs()
        for digest in unneeded:
            if _older(self.blob(digest), before):
                self.blob(digest).unlink(missing_ok=True)

    def get(self, digest: str) -> bytes:
        """Give the content of a blob.

        Raises:
            RunDamagedError: It is gone, or was changed.
        """
        try:
            data = self.blob(digest).read_bytes()
        except FileNotFoundError:
            data = b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise RunDamagedError(f"what runs share is damaged: {self.blob(digest)}")
        return data


def _older(path: Path, moment: float) -> bool:
    try:
        return path.lstat().st_mtime < moment
    except FileNotFoundError:
        return False
