"""One play: runs are submitted while things break, until all were taken; then nothing breaks, and all must end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from chaos.gremlin import Gremlin
from chaos.plan import Plan
from chaos.reckoning import Reckoning, reckon, unended
from chaos.stage import Stage
from faults.network_faults import ROUND_TRIP
from tests.boxes import LabBox
from tests.lab import Lab

QUIET_LIMIT = 300.0
"""Seconds that all runs have to end once nothing breaks any more."""

LOOK = 1.0
MOST_IN_VAIN = 2
"""Faults that follow each other although no further run could be submitted."""

PROGRESS_LIMIT = 60.0


@dataclass(frozen=True)
class Played:
    """What a play showed.

    Args:
        plan: What was played.
        faults: How often each fault happened.
        reckoning: What became of the runs.
        seconds: How long it took.
    """

    plan: Plan
    faults: Counter[str]
    reckoning: Reckoning
    seconds: float = field(default=0.0)


def play_in_lab(plan: Plan) -> Played:
    """Play it in a lab of its own."""
    with Lab.up() as lab, lab.network.delay(ROUND_TRIP):
        stage = Stage(LabBox(lab))
        try:
            played = play(stage, plan)
            if played.reckoning.violations:
                print(stage.evidence(), file=sys.stderr)
            return played
        finally:
            stage.close()


def play(stage: Stage, plan: Plan) -> Played:
    """Play it once.

    Args:
        stage: Where.
        plan: What.
    """
    began = time.monotonic()
    gremlin = Gremlin(stage, plan)
    jobs = plan.jobs()
    reboots = [plan.runs * (number + 1) // (plan.reboots + 1) for number in range(plan.reboots)]
    cuts = [plan.runs // 4, plan.runs * 3 // 4]
    count = since_progress = 0
    while count < plan.runs or (plan.each_once and gremlin.has_more):
        stage.connect()
        stage.submit(jobs, plan.submitting)
        if count < plan.runs and since_progress >= MOST_IN_VAIN:
            _wait_for_progress(stage, count)
        gremlin.act()
        before, count = count, len(stage.ids())
        since_progress = 0 if count > before else since_progress + 1
        if cuts and count >= cuts[0]:
            cuts.pop(0)
            gremlin.cut_network()
        if reboots and count >= reboots[0]:
            reboots.pop(0)
            gremlin.reboot()
        _tell(f"seed {plan.seed}: {count} of {plan.runs} taken, {time.monotonic() - began:.0f} s: {dict(gremlin.done)}")
    _wait_for_all(stage)
    found = reckon(stage, jobs)
    found.left += stage.end()
    return Played(plan, gremlin.done, found, time.monotonic() - began)


def _wait_for_progress(stage: Stage, count: int) -> None:
    """Wait until another run was taken, or for a minute: a busy machine needs longer to come back than to break."""
    deadline = time.monotonic() + PROGRESS_LIMIT
    while len(stage.ids()) == count and time.monotonic() < deadline:
        stage.connect()
        time.sleep(0.2)


def _wait_for_all(stage: Stage) -> None:
    """Wait, with nothing that breaks any more, until no row is unended, for as long as that may take."""
    deadline = time.monotonic() + QUIET_LIMIT
    while time.monotonic() < deadline:
        if stage.connect() and not (waiting := unended(stage)):
            return
        time.sleep(LOOK)
    _tell(f"not ended: {waiting}")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
