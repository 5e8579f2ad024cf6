"""Runs of this machine's own programs, without a host: their rows are collected when somebody looks."""

from __future__ import annotations

import socket

from simmate_remote.database.plain import Plain, open_plain
from simmate_remote.runs.collector import Collector, Source
from simmate_remote.runs.host.journal import Journal
from simmate_remote.runs.listing import HERE
from simmate_remote.runs.recording import local_folder, note_interrupted
from simmate_remote.runs.settling import wait_settled


def open_rows() -> Plain:
    """Connect to the database, with the rows of this machine's own runs up to now.

    Raises:
        DatabaseError: There is no connection.
    """
    wait_settled()
    plain = open_plain()
    try:
        collect_here(plain)
    except BaseException:
        plain.close()
        raise
    return plain


def collect_here(plain: Plain) -> None:
    """Make the rows of what this machine's own journal has told since the last time."""
    journal = Journal(local_folder() / "journal")
    name = journal.name()
    if name is None:
        return
    # What began and died since the last look becomes known first, and then that it died.
    _collect(plain, journal, name)
    unfinished = "SELECT id FROM simmate_remote_runs WHERE journal = :journal AND state = 'running'"
    if note_interrupted(row[0] for row in plain.rows(unfinished, {"journal": name})):
        _collect(plain, journal, name)


def _collect(plain: Plain, journal: Journal, name: str) -> None:
    found = plain.row("SELECT position FROM simmate_remote_journals WHERE journal = :journal", {"journal": name})
    if found is not None and found[0] == journal.size():
        return
    collector = Collector(plain, Source(name, HERE, socket.gethostname(), str(local_folder())))
    position = collector.begin()
    if position > journal.size():
        position = collector.rewind()
    while (part := journal.read(position)).offset != position:
        position = collector.take(position, part.offset, part.lines)
