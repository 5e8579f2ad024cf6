"""Let faults happen, again and again, and note what they did."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from faults.fault import Fault, nothing
from faults.network_faults import ROUND_TRIP
from faults.observation import Observation, failed, judge_told, judge_unharmed
from faults.place import Place
from tests.boxes import LabBox
from tests.lab import Lab

ORPHANS_MAY_STAY = 20.0


@contextlib.contextmanager
def lab_place(link: str) -> Iterator[Place]:
    """Give a lab of its own, with a network that takes its time, and a user."""
    with Lab.up() as lab, lab.network.delay(ROUND_TRIP), Place(LabBox(lab), link) as place:
        yield place


def observe(fault: Fault, place: Place, seconds: float) -> Observation:
    """Let a fault happen once, in the middle of a round of work.

    Args:
        fault: What.
        place: Where; its user is connected, under the fault's conditions.
        seconds: For how long.
    """
    try:
        if fault.told is None:
            return _observe_unharmed(fault, place, seconds)
        return _observe_told(fault, place, seconds)
    except RuntimeError as error:
        place.end_user()
        place.start_user()
        return failed(error)


@contextlib.contextmanager
def conditions(fault: Fault, place: Place, seconds: float) -> Iterator[None]:
    """Let a fault's conditions hold, with a user who has connected under them; at the end everything has left.

    Raises:
        RuntimeError: The user could not connect, or something would not leave.
    """
    with fault.conditions(place, seconds):
        place.start_user()
        try:
            yield
        finally:
            left = place.leave()
        if left:
            raise RuntimeError("\n".join(["left behind:", *left, place.evidence()]))


def _observe_unharmed(fault: Fault, place: Place, seconds: float) -> Observation:
    place.refresh()
    place.begin(seconds=0 if fault.quiet else seconds, up=fault.up)
    if fault.quiet:
        place.fall_silent()
    broken, mended = _happen(fault, place, seconds)
    outcome = place.outcome(broken, mended)
    return judge_unharmed(outcome, broken=fault.happens is not nothing)


def _observe_told(fault: Fault, place: Place, seconds: float) -> Observation:
    place.refresh()
    place.begin(seconds=seconds)
    before = place.processes()
    broken, mended = _happen(fault, place, seconds)
    outcome = place.outcome(broken, mended)
    place.end_user()
    left = place.left_behind(ORPHANS_MAY_STAY, before) if fault.ends_all else []
    recovery = None
    with contextlib.suppress(RuntimeError):
        place.start_user()
        place.begin()
        now = time.monotonic()
        again = judge_unharmed(place.outcome(now, now), broken=False)
        recovery = None if again.violations else place.about["connect_seconds"]
    return judge_told(fault, outcome, broken, left, recovery)


def _happen(fault: Fault, place: Place, seconds: float) -> tuple[float, float]:
    """Let it happen, and give the times from which on the way was broken, and possible again."""
    with fault.happens(place, seconds):
        broken = time.monotonic()
        if seconds:
            time.sleep(seconds)
    return broken, time.monotonic() if seconds else broken
