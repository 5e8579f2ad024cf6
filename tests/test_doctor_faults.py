"""Faults, injected one at a time: each is found by the check that should find it; a healthy host has none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from simmate_remote.doctor.examine import examine
from simmate_remote.doctor.finding import Finding
from simmate_remote.doctor.registry import ORDER, Stage, all_checks
from simmate_remote.link import Prompt
from tests.doctor_faults import FAULTS, SLOW, a_keeper_that_was_killed
from tests.doctor_scene import Scene
from tests.examinations import examine_box
from tests.hosts import host_of
from tests.lab import Lab
from tests.lab_boxes import AccountBox

JUDGES_THE_MACHINE = {"load", "memory", "users", "round-trip", "throughput"}
"""Checks that speak of the machine that the lab is on, which may be busy with other things: how fast it is, too."""


@pytest.fixture
def scene(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Give an account of the lab that has never been used."""
    count = sum(1 for account in lab.accounts if account.name.startswith("patient"))
    with contextlib.ExitStack() as undo:
        yield Scene(lab, AccountBox.of(lab, f"patient{count}"), tmp_path, undo)


def shown(finding: Finding) -> str:
    return f"{finding.status} {finding.check}: {finding.reason}"


@pytest.mark.lab
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FAULTS]
)
async def test_a_fault_is_found_by_the_check_that_looks_for_it(scene: Scene, name: str) -> None:
    check, status, inject = FAULTS[name]
    finding = (await examine_box(scene.box, [check], **(inject(scene) or {})))[check]
    assert finding.status == status, shown(finding)
    assert finding.why
    assert finding.remedies or check in ("authentication", "ssh-version"), shown(finding)


@pytest.mark.lab
@pytest.mark.parametrize("link", ["asyncssh", "openssh"])
async def test_a_healthy_host_has_no_fault_takes_one_login_and_keeps_nothing(scene: Scene, link: str) -> None:
    scene.box.run("mkdir -p data; touch data/Si.upf")
    mark, files = scene.lab.mark(), sorted(scene.lab.home(scene.box.account).rglob("*"))
    programs = {"python": str(scene.lab.python), "sh": "sh", "data": "~/data"}
    found = await examine_box(scene.box, programs=programs, link=link)
    assert list(found) == [name for name in ORDER if not name.startswith("here-")]
    wrong = [shown(each) for each in found.values() if each.status != "ok" and each.check not in JUDGES_THE_MACHINE]
    assert not wrong
    assert scene.lab.logins(mark) == 1
    assert scene.lab.connections(mark) == 1
    scene.lab.wait_until_idle(scene.box.account)
    assert scene.lab.files(scene.box.account) == []
    assert sorted(scene.lab.home(scene.box.account).rglob("*")) == files


@pytest.mark.lab
async def test_a_password_is_a_warning_that_leads_to_a_key(lab: Lab) -> None:
    box = AccountBox.of(lab, "typist", key=False, password="corréct $horse")

    async def person(prompt: Prompt) -> str | None:
        return "corréct $horse"

    found = await examine_box(box, ["authentication"], person)
    assert found["authentication"].status == "warning"
    assert found["authentication"].remedies[0].command == "simmate-remote setup lab-box"
    assert found["authentication"].data["methods"][-1] == "password"


@pytest.mark.lab
@pytest.mark.parametrize(("shell", "kind"), [("/bin/tcsh", "tcsh"), ("/usr/bin/fish", "fish")])
async def test_odd_shells_and_a_home_with_a_space(lab: Lab, shell: str, kind: str) -> None:
    box = AccountBox.of(lab, f"odd-{kind}", shell=shell, home=f"/home/odd {kind}")
    found = await examine_box(box)
    assert kind in found["login-shell"].reason
    assert found["home"].status == "warning"
    assert "unusual characters" in found["home"].reason
    assert {each.status for name, each in found.items() if name not in {"home", *JUDGES_THE_MACHINE}} == {"ok"}


@pytest.mark.lab
@pytest.mark.parametrize("link", ["asyncssh", "openssh"])
async def test_a_strict_server_lets_everything_else_be_looked_at(scene: Scene, link: str) -> None:
    with scene.lab.sshd(MaxSessions=1, DisableForwarding="yes", Subsystem=None, PermitTTY="no"):
        found = await examine_box(scene.box, link=link)
    wrong = {each.check: each.status for each in found.values() if each.status != "ok"}
    assert {name: status for name, status in wrong.items() if name not in JUDGES_THE_MACHINE} == {
        "max-sessions": "warning",
        "sftp": "warning",
        "forwarding": "warning",
    }
    assert scene.lab.files(scene.box.account) == []


@pytest.mark.lab
@pytest.mark.slow
async def test_a_network_that_carries_little(scene: Scene) -> None:
    with scene.lab.network.delay(100), scene.lab.network.loss(5):
        found = await examine_box(scene.box, ["throughput"])
    assert found["throughput"].status == "warning", shown(found["throughput"])


@pytest.mark.lab
async def test_what_a_killed_keeper_left_is_removed(scene: Scene) -> None:
    a_keeper_that_was_killed(scene)
    findings = await examine(host_of(scene.box), ["leftovers"], fix=True)
    assert findings[0].status == "ok"
    assert findings[0].fixed == "removed /tmp/simmate-remote-0123456789ab"
    assert scene.lab.files(scene.box.account) == []


def test_there_are_enough_faults_and_each_stage_has_some() -> None:
    stages = {check.name: check.stage for check in all_checks(with_host=True)}
    assert len(FAULTS) >= 25
    assert {stages[check] for check, *_ in FAULTS.values()} == set(Stage) - {Stage.HERE}
