"""``doctor`` from the command line, and checks of others."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.cli.app import main
from simmate_remote.doctor import registry
from simmate_remote.doctor.check import Check, Stage
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.examine import examine
from simmate_remote.doctor.finding import Finding
from simmate_remote.errors import Remedy
from simmate_remote.session.client import find_or_start
from simmate_remote.session.paths import socket_path
from simmate_remote.testing import EmbeddedHost
from tests.boxes import EmbeddedBox, assert_nothing_left
from tests.examinations import examine_box
from tests.hosts import host_of
from tests.ours import session_processes

SHAPE = {"check", "title", "stage", "status", "reason", "why", "remedies", "data", "seconds", "fixed"}


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedBox]:
    """Give an embedded host that the inventory knows."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(tmp_path / "hosts"))
    with EmbeddedHost() as host:
        box = EmbeddedBox(host)
        box.inventory(tmp_path / "hosts")
        yield box
        assert_nothing_left(box)


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    printed = capsys.readouterr()
    assert (ended.value.code or 0) == code, printed.err
    return printed.out


def test_the_shape_of_the_document_is_a_promise(box: EmbeddedBox, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(doctor(capsys, "lab-box", "--only", "python", "--only", "name", "--json"))
    assert set(document) == {"host", "ok", "findings"}
    assert (document["host"], document["ok"]) == ("lab-box", True)
    assert [finding["check"] for finding in document["findings"]] == ["name", "python"]
    for finding in document["findings"]:
        assert set(finding) == SHAPE
        assert finding["status"] == "ok"
    assert document["findings"][1]["data"]["executable"] == box.python
    assert box.logins() == 1


def test_everything_is_looked_at_over_one_login(box: EmbeddedBox, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path(box.home).rglob("*"))
    lines = doctor(capsys, "lab-box").splitlines()
    assert [line.split()[1] for line in lines if line.startswith(("ok ", "warning ", "failed "))] == [
        name for name in registry.ORDER if not name.startswith("here-")
    ]
    assert lines[-1].startswith("lab-box: ")
    assert box.logins() == 1
    assert box.host.connections == 1
    assert sorted(Path(box.home).rglob("*")) == before


def test_a_failure_is_told_with_what_matters_and_what_to_type(
    box: EmbeddedBox, capsys: pytest.CaptureFixture[str]
) -> None:
    box.host.change_host_key()
    lines = doctor(capsys, "lab-box", "--only", "host-key", "--only", "home", code=1).splitlines()
    assert lines[0].startswith("failed   host-key")
    assert lines[1].split()[0] == "matters:"
    assert lines[2].split()[:3] == ["next:", "ssh-keygen", "-f"]
    assert lines[-2].split() == ["skipped", "home", "because", "host-key", "failed"]
    assert lines[-1] == "lab-box: 1 failed, 1 skipped"


def test_warnings_alone_are_no_failure(box: EmbeddedBox, capsys: pytest.CaptureFixture[str]) -> None:
    assert "1 warning" in doctor(capsys, "lab-box", "--only", "sftp")


def test_names_that_are_no_check_are_refused_before_anything_is_contacted(
    box: EmbeddedBox, capsys: pytest.CaptureFixture[str]
) -> None:
    error = json.loads(doctor(capsys, "lab-box", "--only", "hom", "--json", code=1))
    assert "'hom'" in error["what"]
    assert "home" in error["what"]
    assert box.host.connections == 0


def test_the_checks_are_listed_with_what_they_look_at(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(doctor(capsys, "--list", "--json"))
    assert [each["name"] for each in listed] == list(registry.ORDER)
    assert all(each["looks_at"].endswith(".") for each in listed)


def test_our_checks_are_those_that_are_declared() -> None:
    assert {entry.name for entry in entry_points(group=registry.GROUP)} == set(registry.ORDER)


# Checks of others


class Licence(Check):
    """Whether a licence is there."""

    name = "licence"
    title = "the licence"
    why = "nothing starts without it"

    async def run(self, about: Examination) -> Finding:
        python = await about.call("python")
        return Finding.failed(f"none for {python['executable']}", Remedy("simmate-remote hosts list"))


class Endless(Licence):
    """Never ends."""

    name = "endless"
    limit = 0.2

    async def run(self, about: Examination) -> Finding:
        await asyncio.Event().wait()
        raise AssertionError


class Broken(Licence):
    """Fails itself."""

    name = "broken"

    async def run(self, about: Examination) -> Finding:
        raise LookupError("no such licence")


class Wordless(Licence):
    """Gives nothing back."""

    name = "wordless"

    async def run(self, about: Examination) -> Finding:
        return None  # type: ignore[return-value]


class Mended(Licence):
    """Is wrong until it is mended."""

    name = "mended"
    stage = Stage.HERE
    here: bool = False

    async def run(self, about: Examination) -> Finding:
        return Finding.ok("there") if type(self).here else Finding.failed("gone")

    async def fix(self, about: Examination, finding: Finding) -> str | None:
        type(self).here = True
        return "brought one"


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another package declare checks."""
    names = {"licence": "Licence", "endless": "Endless", "broken": "Broken", "wordless": "Wordless", "mended": "Mended"}
    more = [EntryPoint(name, f"{__name__}:{cls}", registry.GROUP) for name, cls in names.items()]
    more.append(EntryPoint("missing", "no_such_package:Check", registry.GROUP))
    ours = list(entry_points(group=registry.GROUP))
    monkeypatch.setattr(registry, "entry_points", lambda group: ours + more)


async def test_a_check_of_another_package_is_run_after_ours(box: EmbeddedBox, others: None) -> None:
    found = await examine_box(box, ["licence", "python"])
    assert list(found) == ["python", "licence"]
    assert found["licence"].reason == f"none for {box.python}"
    assert found["licence"].why == Licence.why


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("endless", "no result after 0.2 s; it was cut off"),
        ("broken", "the check itself failed: LookupError: no such licence"),
        ("wordless", "the check itself failed: TypeError: it returned None, which is no Finding"),
        ("missing", "the check itself cannot be used (no_such_package:Check): ModuleNotFoundError"),
    ],
)
async def test_a_check_that_misbehaves_is_a_finding(box: EmbeddedBox, others: None, name: str, reason: str) -> None:
    found = await examine_box(box, [name, "clock"])
    assert found[name].status == "failed"
    assert found[name].reason.startswith(reason)
    assert found["clock"].status == "ok"


async def test_a_file_system_that_hangs_keeps_no_other_check_from_its_answer(
    box: EmbeddedBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simmate_remote.doctor.checks.host.Programs.limit", 0.5)
    pipe = Path(box.home, "pipe")
    os.mkfifo(pipe)  # who opens it waits for a writer
    found = await examine_box(box, ["programs", "clock", "leftovers"], programs={"pipe": str(pipe)})
    assert found["programs"].reason == "no result after 0.5 s; it was cut off"
    assert found["clock"].status == "ok"
    assert "lives there" in found["leftovers"].reason


def test_what_is_mended_is_looked_at_again(
    others: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mended, "here", False)
    assert "failed   mended" in doctor(capsys, "--only", "mended", code=1)
    printed = doctor(capsys, "--only", "mended", "--fix")
    assert printed.splitlines()[0].split() == ["ok", "mended", "there"]
    assert "fixed:     brought one" in printed


async def test_a_session_that_does_not_answer(box: EmbeddedBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simmate_remote.doctor.checks.configuration.SILENCE", 0.2)
    host = host_of(box, workers={"count": None, "threads": None})
    guests: list[asyncio.StreamWriter] = []
    async with await asyncio.start_unix_server(lambda _, writer: guests.append(writer), socket_path(host)):
        found = await examine_box(box, ["session"])
        for guest in guests:
            guest.close()
            await guest.wait_closed()
    assert found["session"].status == "warning"
    assert found["session"].remedies[0].command == "simmate-remote disconnect lab-box"
    assert box.logins() == 0


async def test_a_session_that_nobody_can_reach_is_ended(box: EmbeddedBox) -> None:
    host = host_of(box)
    session = await find_or_start(host)
    await session.follow()
    pid = (await session.status())["pid"]
    socket_path(host).unlink()
    (found,) = await examine(None, ["here-leftovers"])
    assert found.data["processes"] == [pid]
    (found,) = await examine(None, ["here-leftovers"], fix=True)
    assert found.status == "ok", found.reason
    assert session_processes() == []
    session.close()
    await session.wait_closed()


async def test_an_interrupted_examination_leaves_nothing(box: EmbeddedBox) -> None:
    told: list[Any] = []

    async def examine_until_the_keeper_runs() -> None:
        await examine(host_of(box), ["keeper", "round-trip", "throughput"], told=told.append)

    task = asyncio.create_task(examine_until_the_keeper_runs())
    while not told:
        await asyncio.wait({task}, timeout=0.01)
    task.cancel()
    await asyncio.wait({task}, timeout=20)
    assert task.cancelled()
    assert_nothing_left(box)
