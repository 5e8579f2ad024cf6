"""The fault matrix in its short form: each fault once, for seconds, over both kinds of link."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from faults import network_faults, process_faults, server_faults
from faults.fault import Fault, nothing
from faults.network_faults import ROUND_TRIP
from faults.place import Place
from faults.registry import NOTHING_LOST, TOLD
from faults.runner import conditions, observe
from simmate_remote.testing import EmbeddedHost
from tests.boxes import EmbeddedBox, LabBox

PLACES = ("embedded-asyncssh", "lab-asyncssh", "lab-openssh")
DOWN, UP = 48_000_000, 4_000_000
SHORT = [fault for fault in (*NOTHING_LOST, *TOLD) if fault.quick_seconds or not fault.seconds]
SHORTEST = (server_faults.killed, server_faults.carrier_killed, network_faults.down, process_faults.session_killed)
"""What even the shortest form has, over one kind of link."""

LINK_MATTERS = (server_faults.forbids_forwarding, server_faults.allows_one_session)

pytestmark = pytest.mark.timeout(180)


def under_way() -> Iterator[object]:
    """Give each fault at each kind of place; where a session is, all of them follow each other on it."""
    for where in PLACES:
        marks = [pytest.mark.lab] if "lab" in where else []
        for fault in SHORT:
            if fault.conditions is nothing and ("lab" in where or not fault.needs_lab):
                short = fault.happens in SHORTEST and where == "lab-asyncssh"
                title = fault.title(fault.quick_seconds)
                yield pytest.param(
                    where, fault, marks=marks if short else [*marks, pytest.mark.slow], id=f"{where}-{title}"
                )


def from_the_start() -> Iterator[object]:
    """Give each fault that holds from the start, over both kinds of link where they differ."""
    for fault in SHORT:
        if fault.conditions is not nothing:
            for link in ("asyncssh", "openssh") if fault.conditions in LINK_MATTERS else ("asyncssh",):
                yield pytest.param(link, fault, id=f"{link}-{fault.title(fault.quick_seconds)}")


@pytest.fixture(autouse=True)
def lab_as_found() -> None:
    """Let the session of a place, and the delay that it has, stay from fault to fault; it is seen to leave nothing."""


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Give a host, and one user's process with its session."""
    kind, link = request.param.split("-")
    with contextlib.ExitStack() as stack:
        if kind == "embedded":
            box: EmbeddedBox | LabBox = EmbeddedBox(stack.enter_context(EmbeddedHost()))
        else:
            box = LabBox(request.getfixturevalue("lab"))
            stack.enter_context(box.lab.network.delay(ROUND_TRIP))
        place = stack.enter_context(Place(box, link, down=DOWN, up=UP))
        place.start_user()
        yield place
        assert place.leave() == []


@pytest.mark.parametrize(("place", "fault"), list(under_way()), indirect=["place"], scope="module")
def test_what_a_fault_does_to_work_that_is_under_way(place: Place, fault: Fault) -> None:
    assert observe(fault, place, fault.quick_seconds).violations == [], place.evidence()


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.parametrize(("link", "fault"), list(from_the_start()))
def test_what_conditions_do_that_hold_from_the_start(request: pytest.FixtureRequest, fault: Fault, link: str) -> None:
    lab = request.getfixturevalue("lab")
    with lab.network.delay(ROUND_TRIP), Place(LabBox(lab), link, down=DOWN, up=UP) as place:
        with conditions(fault, place, fault.quick_seconds):
            found = observe(fault, place, fault.quick_seconds)
        assert found.violations == [], place.evidence()
