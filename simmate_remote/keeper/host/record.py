"""What our folder tells of keepers: a record of each machine's living one, and the last words of one that ended.

A home folder may be shared by several machines, so each file is named by the machine that it is about.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from simmate_remote.errors import KeeperError

TOUCH = 60.0
"""Seconds after which a living keeper touches its record again."""

FRESH = 300.0
"""Seconds without a touch after which a record of another machine says nothing any more."""


class Record(NamedTuple):
    """A keeper that runs.

    Args:
        hostname: What its machine calls itself.
        boot: Which start of the machine it belongs to, as the kernel names it.
        pid: Its process id.
        since: When it began, in seconds since the epoch.
        version: Its version.
        package: The folder of its code, below ``packages``.
        handover: The socket that takes a command's stdin and stdout.
        carrier: The socket that takes carriers.
        runtime: The folder of both.
        address: The machine's address, as the login that started the keeper reached it; empty: unknown.
        port: The port of its SSH server; 0: unknown.
        warnings: What the user should hear at each login: what is wrong, and the command there that mends it.
    """

    hostname: str
    boot: str
    pid: int
    since: float
    version: str
    package: str
    handover: str
    carrier: str
    runtime: str
    address: str = ""
    port: int = 0
    warnings: tuple[tuple[str, str], ...] = ()


Kind = Literal["died", "rebooted", "lease", "stopped"]
"""How a keeper ended: killed or by an error, with its machine, with its lease, or because somebody asked for it."""


class Previous(NamedTuple):
    """What became of the keeper before this one.

    Args:
        kind: How it ended.
        since: When that keeper began, in seconds since the epoch.
        ended: When it ended; of one that died, when it last was known to live.
        text: What happened, in one sentence without a full stop and without a time.
        detail: The end of its log, where that is the evidence.
    """

    kind: Kind
    since: float
    ended: float
    text: str
    detail: str = ""

    def __str__(self) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.ended))
        return f"{self.text} ({'last known to live' if self.kind == 'died' else 'at'} {moment})"


def keepers_folder(folder: Path) -> Path:
    """Give the folder of all these files."""
    return folder / "keepers"


def record_path(folder: Path) -> Path:
    """Give the file that tells of the keeper of this machine."""
    return keepers_folder(folder) / f"{socket.gethostname()}.json"


def log_path(folder: Path) -> Path:
    """Give the log of this machine's guardian and keeper."""
    return keepers_folder(folder) / f"{socket.gethostname()}.log"


def last_words_path(folder: Path) -> Path:
    """Give the file that tells how this machine's last keeper ended."""
    return keepers_folder(folder) / f"{socket.gethostname()}.ended"


def boot_id() -> str:
    """Name the current start of this machine, as the kernel does."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def write_record(folder: Path, record: Record) -> None:
    """Write the record of this machine's keeper."""
    write_whole(record_path(folder), record._asdict())


def read_record(path: Path) -> Record | None:
    """Read a record; None if there is none that can be read."""
    try:
        return Record(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        # Missing, half written by a machine that lost its power, or of a version that told something else.
        return None


def remove_record(folder: Path, record: Record) -> None:
    """Remove a record, by whichever name its machine went when it was written."""
    for path in keepers_folder(folder).glob("*.json"):
        found = read_record(path)
        if found is not None and found.runtime == record.runtime and found.boot == record.boot:
            path.unlink(missing_ok=True)


def other_records(folder: Path) -> Iterator[tuple[Record, float]]:
    """Give the records of other machines' keepers, and how many seconds ago each was touched.

    Ages are by the clock of the file system, which is the same for all who touch them.
    """
    own = record_path(folder)
    now = _file_time(own.with_suffix(".lock"))
    for path in sorted(keepers_folder(folder).glob("*.json")):
        record = None if path == own else read_record(path)
        try:
            touched = path.stat().st_mtime
        except FileNotFoundError:  # that keeper has just ended
            continue
        if record is not None:
            yield record, now - touched


def fresh_records(folder: Path) -> list[Record]:
    """Give the records of other machines whose keepers were alive a moment ago."""
    return [record for record, age in other_records(folder) if abs(age) < FRESH]


def write_last_words(folder: Path, previous: Previous, boot: str) -> None:
    """Tell the next keeper how this one ended."""
    write_whole(last_words_path(folder), {**previous._asdict(), "boot": boot})


def write_whole(path: Path, content: dict[str, Any]) -> None:
    """Write a file at once or not at all: a disk that is full must not leave half of one.

    Raises:
        KeeperError: It could not be written; with the system's reason.
    """
    arriving = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        arriving.write_text(json.dumps(content))
        arriving.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            arriving.unlink(missing_ok=True)
        raise KeeperError(f"{path} cannot be written: {error.strerror}") from error


def _file_time(path: Path) -> float:
    path.touch(mode=0o600)
    return path.stat().st_mtime
