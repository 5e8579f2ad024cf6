"""What a new desk finds: runs that ended untold, that were at work when everything died, or were never told of."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simmate_remote.errors import RunDamagedError, RunError
from simmate_remote.runs.host.folder import RunFolder
from simmate_remote.runs.host.lines import created_line, ended_line, ending_of, missed_lines
from simmate_remote.runs.host.live import Live
from simmate_remote.runs.host.outcome import RunOutcome
from simmate_remote.runs.host.spec import Spec
from simmate_remote.runs.host.store import RunStore

logger = logging.getLogger(__name__)

ENDED = frozenset({"finished", "failed", "cancelled"})


@dataclass
class Told:
    """What the journal has told of a run.

    Args:
        state: The last event that says how it stands.
        attempt: Its last attempt.
        restarts: How often it was started again.
    """

    state: str = "created"
    attempt: int = 0
    restarts: int = 0


@dataclass(frozen=True)
class Found:
    """A run that a desk has found.

    Args:
        folder: Its folder.
        spec: What it is.
        round: Its round.
        attempt: The last attempt that has begun.
        lines: Events that the journal lacks: their name, and what belongs to them.
        unfinished: Whether it is to be executed.
    """

    folder: RunFolder
    spec: Spec
    round: int
    attempt: int
    lines: list[tuple[str, dict[str, Any]]]
    unfinished: bool

    def live(self) -> Live:
        """Give it as a desk has what has not ended."""
        live = Live.of(self.folder, self.spec, self.round)
        live.attempt = self.attempt
        live.state = "interrupted" if self.attempt else "queued"
        return live


def told_of(store: RunStore) -> dict[str, Told]:
    """Read in the journal how each run stands."""
    told: dict[str, Told] = {}
    for line in store.journal.events():
        about = told.setdefault(line["run"], Told())
        event = line["event"]
        if event in ENDED or event in ("started", "interrupted", "restarted", "removed", "created"):
            about.state = event
        about.restarts += event == "restarted"
        about.attempt = max(about.attempt, int(line.get("attempt") or 0))
    return told


def recover(store: RunStore) -> Iterator[Found]:
    """Find the runs that are unfinished, and those of which the journal lacks something.

    A folder that cannot be read is left alone, and named in the log.
    """
    told = told_of(store)
    for identity in sorted(store.ids()):
        about = told.get(identity)
        if about is not None and _is_over(store.run(identity), about):
            continue
        try:
            yield _look(store, identity, about)
        except (RunError, OSError) as error:
            logger.warning("the run %s is left alone: %s", identity, error)


def _is_over(folder: RunFolder, about: Told) -> bool:
    """Say whether a run was told to have ended, and was not started again since by a desk that could not tell."""
    if about.state not in ENDED and about.state != "removed":
        return False
    if about.state in ("finished", "removed"):
        return True
    # Also a round that has its outcome already is to be told of, if its begin was not.
    return folder.round() <= about.restarts


def _look(store: RunStore, identity: str, about: Told | None) -> Found:
    folder = store.run(identity)
    spec, round_ = folder.spec(), folder.round()
    attempt = folder.attempts()
    lines: list[tuple[str, dict[str, Any]]] = []
    if about is None:
        about = Told()
        lines.append(("created", created_line(folder, spec)))
    elif about.state in ENDED:
        lines.append(("restarted", {}))
    # The desk died before it could tell of these.
    lines += missed_lines(folder, about.attempt, attempt)
    try:
        outcome = folder.outcome(round_)
    except RunDamagedError as error:
        # Nobody was told of it, so it was not whole when its worker, or the machine, died.
        logger.warning("%s: the run goes on", error)
        folder.set_aside(round_)
        outcome = None
    if outcome is None and folder.is_cancelled(round_):
        outcome = RunOutcome(identity, "cancelled", attempt)
        with contextlib.suppress(OSError):  # the disk is full; that it is cancelled stands there in any case
            folder.write_outcome(outcome, round_)
            outcome = folder.outcome(round_)
    if outcome is not None:
        lines.append((outcome.state, ended_line(outcome)))
    elif attempt and (attempt > about.attempt or about.state == "started"):
        how = folder.attempt(attempt)
        lines.append(("interrupted", {"attempt": attempt, "reason": ending_of(how)}))
    return Found(folder, spec, round_, attempt, lines, outcome is None)
