"""What became of the keeper before: read from the traces that it left, by the next login."""

from __future__ import annotations

import json
from pathlib import Path

from simmate_remote.keeper.host.record import (
    Previous,
    boot_id,
    last_words_path,
    log_path,
    read_record,
    record_path,
)

LOG_TAIL = 2000


def previous_keeper(folder: Path) -> Previous | None:
    """Tell how the last keeper of this machine ended, when none is there; None if nothing is known of one.

    A keeper that ends in good order takes its record away and leaves last words. A record without a keeper is of one
    that was killed, or of one that its machine took along.
    """
    record = read_record(record_path(folder))
    if record is None:
        return _last_words(folder)
    if record.boot != boot_id():
        return Previous("rebooted", record.since, boot_time(), "the host was rebooted")
    return Previous(
        "died",
        record.since,
        record_path(folder).stat().st_mtime,
        "the keeper on the host died, and scheduler and workers with it",
        tail(log_path(folder), LOG_TAIL),
    )


def forget_previous(folder: Path) -> None:
    """Remove the last words, when there is a new keeper; a record that was left is the new one's by now."""
    last_words_path(folder).unlink(missing_ok=True)


def tail(path: Path, size: int) -> str:
    """Give the last bytes of a file as text; nothing if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read(size).decode(errors="replace").strip("\0 \n")
    except OSError:
        return ""


def boot_time() -> float:
    """Tell when this machine was started, in seconds since the epoch (``btime``, proc_stat(5))."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def _last_words(folder: Path) -> Previous | None:
    try:
        words = json.loads(last_words_path(folder).read_text())
        boot = words.pop("boot")
        previous = Previous(**words)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if previous.kind == "stopped" and boot != boot_id():
        # A machine that is shut down in good order asks everything to end; that is not what mattered.
        return Previous("rebooted", previous.since, boot_time(), "the host was rebooted")
    return previous
