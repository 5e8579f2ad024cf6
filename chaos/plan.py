"""What is to be done, and what shall go wrong: all of it follows from one number."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Any

LONG_CUT = 60.0
"""Seconds that the network is down at a time."""


@dataclass(frozen=True)
class Job:
    """One run.

    Args:
        number: Which.
        seconds: How long it takes.
        program: Whether a program takes the time.
        fails: Whether it is meant to fail.
    """

    number: int
    seconds: float
    program: bool
    fails: bool

    def parameters(self) -> dict[str, Any]:
        """Give it as the workflow's parameters."""
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """All of it.

    Args:
        seed: What everything follows from.
        runs: How many runs.
        longest: Seconds that a run takes at the most.
        cut: Seconds that the network is down at a time.
        pause: Seconds between two faults on average.
        submitting: Seconds between two batches of runs that are submitted.
        reboots: How often everything here is killed at once.
        each_once: Whether no fault happens twice before each has happened once.
    """

    seed: int
    runs: int = 1000
    longest: float = 5.0
    cut: float = LONG_CUT
    pause: float = 3.0
    submitting: float = 1.5
    reboots: int = 2
    each_once: bool = False

    def jobs(self) -> list[Job]:
        """Give the runs: a third of them with a program, a tenth meant to fail."""
        draw = random.Random(self.seed)
        return [
            Job(number, round(draw.uniform(0.1, self.longest), 2), draw.random() < 1 / 3, draw.random() < 0.1)
            for number in range(self.runs)
        ]


def short(seed: int) -> Plan:
    """Give the plan of the short form."""
    return Plan(seed, runs=40, longest=3.0, cut=2.0, pause=1.0, submitting=0.5, reboots=1, each_once=True)
