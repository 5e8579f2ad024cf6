"""What a line of a journal says of a run, applied to what is known of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from simmate_remote.runs.statements import CHANGING, OUTCOME
from simmate_remote.runs.states import ENDED, FIRST, way

logger = logging.getLogger(__name__)


@dataclass
class Story:
    """One run, as far as it is told.

    Args:
        run: Its id.
        values: Its columns; empty: it is not known yet.
        attempts: The columns of its attempts, by their number.
        corrections: Its corrections, by the time at which they were told, as their lines have it.

    Attributes:
        chapters: Its columns each time that it had entered a state, for a database that watches over the way.
        new: Whether it began in these lines.
        removed: Whether it is to be forgotten.
        ended: Whether it came to an end in these lines.
        retold: Attempts that have changed.
        added: Corrections that are new.
    """

    run: str
    values: dict[str, Any] = field(default_factory=dict)
    attempts: dict[int, dict[str, Any]] = field(default_factory=dict)
    corrections: dict[float, dict[str, Any]] = field(default_factory=dict)
    chapters: list[dict[str, Any]] = field(default_factory=list)
    new: bool = False
    removed: bool = False
    ended: bool = False
    retold: set[int] = field(default_factory=set)
    added: set[float] = field(default_factory=set)

    def tell(self, line: dict[str, Any], journal: str, skew: float) -> None:
        """Apply a line; one that was applied before changes nothing.

        Args:
            line: The line.
            journal: Of which journal.
            skew: Seconds that the clock of whoever wrote it is ahead of ours.
        """
        event = line.get("event")
        if event == "created":
            self._create(line, journal, skew)
            return
        if not self.values:
            logger.warning("run %s: %s was told, and never that it was created", self.run, event)
            return
        moment = _number(line.get("time"), 0.0) - skew
        match event:
            case "started":
                self._start(line, moment)
            case "interrupted" | "finished" | "failed" | "cancelled":
                self._end(line, event, moment)
            case "corrected":
                # By the clock of whoever wrote it: how far that is ahead may be known better when it is read again.
                self._correct(line, _number(line.get("time"), 0.0))
            case "restarted":
                self._restart(line)
            case "removed":
                self.removed = True
            case _:
                logger.warning("run %s: the event %r is not known to this version", self.run, event)

    def lose(self) -> None:
        """Take note that the host does not know it any more."""
        self._enter("lost")
        self._write()

    # Inside

    def _create(self, line: dict[str, Any], journal: str, skew: float) -> None:
        if self.values:
            self._find_again(journal)
            return
        self.new, self.removed = True, False
        self.values = dict.fromkeys(CHANGING) | {
            "id": self.run,
            "journal": journal,
            "state": FIRST,
            "workflow": str(line.get("workflow") or "?"),
            "workflow_version": line.get("workflow_version"),
            "parameters": line.get("parameters"),
            "folder": str(line.get("folder") or ""),
            "started_by": line.get("started_by"),
            "versions": line.get("versions"),
            "restarted_from": line.get("restarted_from"),
            "attempt_limit": line.get("limit"),
            "created": _number(line.get("time"), 0.0) - skew,
            "attempts": 0,
            "corrections": 0,
        }

    def _start(self, line: dict[str, Any], moment: float) -> None:
        number = int(line["attempt"])
        if number < self.values["attempts"] or self._how(number) is not None or not self._enter("running", number):
            return
        earlier = self.attempts.get(self.values["attempts"])
        if earlier is not None and self.values["attempts"] < number and earlier["how"] is None:
            self._close(self.values["attempts"], "interrupted", moment, "its worker died")
        values = self.values
        values["attempts"], values["worker"] = number, line.get("worker")
        values["started"] = moment if values["started"] is None else values["started"]
        self._begin(number, moment)
        self.attempts[number] |= {"worker": line.get("worker"), "node": line.get("node"), "pid": line.get("pid")}
        self._write()

    def _end(self, line: dict[str, Any], how: str, moment: float) -> None:
        values = self.values
        attempt = line.get("attempt")
        number = values["attempts"] if attempt is None else int(attempt)
        # An attempt before the latest one may have been interrupted, and the run goes on; but an end is one also where
        # attempts are counted from 1 again, since their files in the folder were removed.
        if how == "interrupted" and number < values["attempts"]:
            return
        if values["state"] == how or not self._enter(how):
            return
        if how == "finished":
            # There is none after it; whereas a line about what may be restarted can be one that is read again.
            number = max(number, values["attempts"])
        if number:
            self._begin(number, None)
            self._close(number, how, moment, line.get("reason"))
            values["attempts"] = max(number, values["attempts"])
        values["worker"] = line.get("worker") or values["worker"]
        if how in ENDED:
            values["ended"], self.ended = moment, True
            values |= {name: line.get(name) for name in OUTCOME}
        self._write()

    def _correct(self, line: dict[str, Any], told: float) -> None:
        if told not in self.corrections:
            attempt = line.get("attempt")
            self.corrections[told] = {"attempt": attempt, "seen": line.get("seen"), "done": line.get("done")}
            self.added.add(told)
            self.values["corrections"] = len(self.corrections)
            self._write()

    def _restart(self, line: dict[str, Any]) -> None:
        if self.values["state"] not in ENDED or not self._enter(FIRST):
            return
        self.values |= dict.fromkeys((*OUTCOME, "ended"))
        if line.get("parameters") is not None:
            self.values["parameters"] = line["parameters"]
        self._write()

    def _find_again(self, journal: str) -> None:
        """Take note that a journal tells of it from the begin, perhaps another one than had told of it before."""
        if self.values["state"] == "lost":
            self._enter("interrupted")
        elif self.values["journal"] == journal:
            return
        self.values["journal"] = journal
        self._write()

    def _how(self, number: int) -> str | None:
        return self.attempts[number]["how"] if number in self.attempts else None

    def _enter(self, state: str, attempt: int | None = None) -> bool:
        """Enter a state, and those that must have been on the way to it; give whether the table allows it."""
        now = self.values["state"]
        if state == now and attempt == self.values["attempts"]:
            return False
        passed = way(now, state)
        if passed is None:
            logger.info("run %s is %s: that it is %s is not taken", self.run, now, state)
            return False
        for each in passed[:-1]:
            self.values["state"] = each
            self._write()
        self.values["state"] = passed[-1]
        return True

    def _begin(self, number: int, moment: float | None) -> None:
        if number not in self.attempts:
            empty = dict.fromkeys(("ended", "how", "reason", "worker", "node", "pid"))
            self.attempts[number] = {"began": moment, **empty}
            self.retold.add(number)

    def _close(self, number: int, how: str, moment: float, reason: str | None) -> None:
        if number in self.attempts and self.attempts[number]["how"] is None:
            self.attempts[number] |= {"how": how, "ended": moment, "reason": reason}
            self.retold.add(number)

    def _write(self) -> None:
        """Keep the columns as they are now; nothing is kept twice of one state."""
        if self.chapters and self.chapters[-1]["state"] == self.values["state"]:
            self.chapters.pop()
        self.chapters.append(dict(self.values))


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default
