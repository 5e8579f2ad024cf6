"""The collector: from lines of a host's journal to rows here, each line once, whoever else collects the same.

The lines and how far they have been read are one transaction. So whatever is delivered again, in other pieces, or by
two collectors at once, the rows are the same.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from simmate_remote.database.plain import Plain, refuses
from simmate_remote.runs.columns import as_text, from_json
from simmate_remote.runs.statements import (
    ADD_CORRECTION,
    ATTEMPT,
    CHANGING,
    CORRECTION,
    FIXED,
    INSERT_RUN,
    JSON_COLUMNS,
    PUT_ATTEMPT,
    UPDATE_RUN,
    WITHDRAW_CANCEL,
    prepared,
    selected,
)
from simmate_remote.runs.states import ENDED, LOSABLE
from simmate_remote.runs.telling import Story

logger = logging.getLogger(__name__)

AT_ONCE = 500
"""Ids in one query."""

LEAST_SKEW = 2.0
"""Seconds that two clocks must differ from what was known before times are corrected by it.

Less is within what the question itself took; and a line that is read once more gets the very times that it had.
"""


Apply = Callable[[Sequence[dict[str, Any]]], None]


class Source(NamedTuple):
    """Whose journal it is.

    Args:
        journal: Its random name.
        host: What the user calls the host.
        machine: The host's own name.
        folder: Where its runs' folders are.
        skew: Seconds that its clock is ahead of ours.
    """

    journal: str
    host: str
    machine: str
    folder: str
    skew: float = 0.0


class Collector:
    """Writes the rows of one journal.

    Args:
        plain: The database; one collector at a time uses it.
        source: Whose journal it is.
    """

    def __init__(self, plain: Plain, source: Source) -> None:
        self.source = source
        self.plain = plain
        self._skew = 0.0

    def begin(self) -> int:
        """Make the journal known, and give how far it has been read.

        What has not ended of an earlier journal in the same place is lost: that journal is gone.
        """
        with self.plain.transaction():
            known = self.plain.row(
                "SELECT skew FROM simmate_remote_journals WHERE journal = :journal", {"journal": self.source.journal}
            )
            self._skew = known[0] if known else 0.0
            if abs(self.source.skew - self._skew) >= LEAST_SKEW:
                self._skew = self.source.skew
            self.plain.change(
                "INSERT INTO simmate_remote_journals (journal, host, machine, folder, skew)"
                " VALUES (:journal, :host, :machine, :folder, :skew) ON CONFLICT (journal) DO UPDATE SET"
                " host = excluded.host, machine = excluded.machine, folder = excluded.folder, skew = excluded.skew",
                self.source._replace(skew=self._skew)._asdict(),
            )
            gone = self.plain.rows(
                "SELECT journal FROM simmate_remote_journals WHERE host = :host AND machine = :machine"
                " AND folder = :folder AND journal <> :journal",
                self.source._asdict(),
            )
            for (journal,) in gone:
                lost = self._unended(journal)
                if lost:
                    logger.warning(
                        "the journal %s of %s is gone: %d runs are lost", journal, self.source.host, len(lost)
                    )
                    self._lose(lost)
            return self._position()

    def take(self, begin: int, end: int, lines: Sequence[str | dict[str, Any]]) -> int:
        """Apply a piece of the journal, if it begins where the last one ended.

        Args:
            begin: Where the piece begins.
            end: Where it ends.
            lines: Its lines.

        Returns:
            From where on the journal is to be read next.
        """
        about_runs = list(filter(None, map(_read, lines)))
        try:
            return self._take(begin, end, about_runs, self._apply)
        except Exception as error:
            if not refuses(error):
                raise
            logger.warning("the database refuses something of the journal of %s: %s", self.source.host, error)
        # One run must not keep all others of the host from being known, now and for ever.
        return self._take(begin, end, about_runs, self._apply_one_by_one)

    def rewind(self) -> int:
        """Read the journal from its begin: it is shorter than what was read of it."""
        self.plain.change(
            "UPDATE simmate_remote_journals SET position = 0 WHERE journal = :journal", {"journal": self.source.journal}
        )
        return 0

    def unended(self) -> list[str]:
        """Give the runs of this journal of which the host must know."""
        return self._unended(self.source.journal)

    def lose(self, runs: Iterable[str]) -> int:
        """Mark runs as lost that the host does not know any more, and give how many they were."""
        with self.plain.transaction():
            self._position()
            still = set(self._unended(self.source.journal))
            gone = [run for run in runs if run in still]
            self._lose(gone)
        return len(gone)

    def to_cancel(self) -> list[str]:
        """Give the runs that somebody asked to cancel while the host could not be reached."""
        return [
            run
            for (run,) in self.plain.rows(
                "SELECT id FROM simmate_remote_runs WHERE journal = :journal AND cancel_asked IS NOT NULL"
                f" AND state NOT IN ({_ENDED}) ORDER BY id",
                {"journal": self.source.journal},
            )
        ]

    # Inside

    def _take(self, begin: int, end: int, lines: Sequence[dict[str, Any]], apply: Apply) -> int:
        with self.plain.transaction():
            position = self._position()
            if position != begin:
                return position
            apply(lines)
            self.plain.change(
                "UPDATE simmate_remote_journals SET position = :end, collected = :now WHERE journal = :journal",
                {"end": end, "now": time.time(), "journal": self.source.journal},
            )
        return end

    def _position(self) -> int:
        """Give how far the journal has been read; until the transaction ends nobody else moves it."""
        lock = " FOR UPDATE" if self.plain.dialect == "postgresql" else ""
        found = self.plain.row(
            f"SELECT position FROM simmate_remote_journals WHERE journal = :journal{lock}",
            {"journal": self.source.journal},
        )
        assert found is not None
        return int(found[0])

    def _unended(self, journal: str) -> list[str]:
        found = self.plain.rows(
            f"SELECT id FROM simmate_remote_runs WHERE journal = :journal AND state IN ({_LOSABLE}) ORDER BY id",
            {"journal": journal},
        )
        return [run for (run,) in found]

    def _lose(self, runs: Sequence[str]) -> None:
        stories = self._known(runs)
        for story in stories.values():
            story.lose()
        self._keep(stories)

    def _apply(self, lines: Sequence[dict[str, Any]]) -> None:
        stories = self._known(list(dict.fromkeys(line["run"] for line in lines)))
        for line in lines:
            story = stories.setdefault(line["run"], Story(line["run"]))
            try:
                story.tell(line, self.source.journal, self._skew)
            except (KeyError, TypeError, ValueError) as error:
                logger.warning("a line of the journal of %s is not understood: %r", self.source.host, error)
        self._keep(stories)

    def _apply_one_by_one(self, lines: Sequence[dict[str, Any]]) -> None:
        of_runs: dict[str, list[dict[str, Any]]] = {}
        for line in lines:
            of_runs.setdefault(line["run"], []).append(line)
        for run, its in of_runs.items():
            try:
                with self.plain.part():
                    self._apply(its)
            except Exception as error:
                if not refuses(error):
                    raise
                logger.exception("run %r of %s: what was told of it now is left out of the rows", run, self.source.host)

    def _known(self, runs: Sequence[str]) -> dict[str, Story]:
        stories: dict[str, Story] = {}
        for first in range(0, len(runs), AT_ONCE):
            some = {f"r{number}": run for number, run in enumerate(runs[first : first + AT_ONCE])}
            these = f"({', '.join(f':{name}' for name in some)})"
            for values in self._table("simmate_remote_runs", {**FIXED, **CHANGING}, f"id IN {these}", some):
                stories[values["id"]] = Story(values["id"], values)
            for values in self._table("simmate_remote_attempts", ATTEMPT, f"run IN {these}", some):
                stories[values.pop("run")].attempts[values.pop("attempt")] = values
            for values in self._table("simmate_remote_corrections", CORRECTION, f"run IN {these}", some):
                stories[values.pop("run")].corrections[values.pop("told")] = values
        return stories

    def _table(
        self, table: str, columns: Iterable[str], condition: str, parameters: dict[str, Any]
    ) -> Iterable[dict[str, Any]]:
        names = list(columns)
        for row in self.plain.rows(f"SELECT {selected(names)} FROM {table} WHERE {condition}", parameters):
            yield {
                name: from_json(value) if name in JSON_COLUMNS else value
                for name, value in zip(names, row, strict=True)
            }

    def _keep(self, stories: dict[str, Story]) -> None:
        plain = self.plain
        kept = [story for story in stories.values() if story.values and not story.removed]
        # A row begins as a run does; the states after it follow one by one, since the database watches over them.
        new = [{**story.values, **_FIRST} for story in kept if story.new]
        plain.change_many(INSERT_RUN, [prepared({**FIXED, **CHANGING}, values) for values in new])
        for number in range(max((len(story.chapters) for story in kept), default=0)):
            told = [story.chapters[number] for story in kept if number < len(story.chapters)]
            columns = {"id": as_text, **CHANGING}
            plain.change_many(UPDATE_RUN, [prepared(columns, values) for values in told])
        attempts = [
            {"run": story.run, "attempt": number, **story.attempts[number]} for story in kept for number in story.retold
        ]
        plain.change_many(PUT_ATTEMPT, [prepared(ATTEMPT, values) for values in attempts])
        corrections = [
            {"run": story.run, "told": told, **story.corrections[told]} for story in kept for told in story.added
        ]
        plain.change_many(ADD_CORRECTION, [prepared(CORRECTION, values) for values in corrections])
        plain.change_many(WITHDRAW_CANCEL, [{"run": story.run} for story in kept if story.ended])
        removed = [{"run": story.run} for story in stories.values() if story.removed and not story.new]
        for table in ("simmate_remote_corrections", "simmate_remote_attempts"):
            plain.change_many(f"DELETE FROM {table} WHERE run = :run", removed)
        plain.change_many("DELETE FROM simmate_remote_runs WHERE id = :run", removed)


_ENDED, _LOSABLE = (", ".join(f"'{state}'" for state in states) for states in (ENDED, LOSABLE))
_FIRST = {name: None for name in CHANGING if name not in ("journal", "parameters")} | {"state": "queued"}


def _read(line: str | dict[str, Any]) -> dict[str, Any] | None:
    """Read a line of a journal; None: it is not about a run, or cannot be read."""
    if isinstance(line, str):
        try:
            line = json.loads(line)
        except ValueError:
            logger.warning("a line of a journal cannot be read: %.100s", line)
            return None
    return line if isinstance(line, dict) and isinstance(line.get("run"), str) else None
