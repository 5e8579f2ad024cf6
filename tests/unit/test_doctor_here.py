"""Checks of this machine: each finds its fault, and a machine without one has no finding to mend."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from simmate_remote.database.embedded.place import SOCKET
from simmate_remote.doctor.examine import examine
from simmate_remote.doctor.finding import Finding, Status
from simmate_remote.doctor.registry import ORDER
from simmate_remote.inventory.runtime_folder import runtime_folder
from tests.hosts import shut


class Home:
    """The user of a test, whose machine is to be broken."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.patch = patch
        self.ssh = folder / "home/.ssh"
        patch.setattr("simmate_remote.doctor.checks.here_ssh.local_home", lambda: str(folder / "home"))
        patch.chdir(folder)
        self.databases = folder / "tmp"
        self.databases.mkdir()
        patch.setattr("simmate_remote.doctor.checks.here_leftovers.DATABASES", self.databases)

    def key(self, mode: int) -> Path:
        self.ssh.mkdir(mode=0o700, exist_ok=True)
        path = self.ssh / "id_ed25519"
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(path)
        path.chmod(mode)
        return path

    def program(self, name: str, script: str) -> None:
        place = self.folder / "bin"
        place.mkdir()
        (place / name).write_text(f"#!/bin/sh\n{script}\n")
        (place / name).chmod(0o755)
        self.patch.setenv("PATH", f"{place}:{os.environ['PATH']}")


@pytest.fixture
def home(user_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return Home(user_folders, monkeypatch)


def no_ssh(home: Home) -> None:
    home.patch.setenv("PATH", str(home.folder))


def an_old_ssh(home: Home) -> None:
    home.program("ssh", "echo OpenSSH_6.6.1p1 >&2")


def a_key_for_everybody(home: Home) -> None:
    home.key(0o644)


def a_configuration_that_others_write(home: Home) -> None:
    home.key(0o600)
    (home.ssh / "config").touch(0o600)
    (home.ssh / "config").chmod(0o666)


def an_agent_that_is_gone(home: Home) -> None:
    home.patch.setenv("SSH_AUTH_SOCK", str(home.folder / "agent"))


def a_wrong_host_file(home: Home) -> None:
    hosts = home.folder / "config/simmate-remote/hosts"
    hosts.mkdir(parents=True)
    (hosts / "lab-box.yaml").write_text("ssh: lab\nfoldr: x\n")


def a_folder_that_is_not_trusted(home: Home) -> None:
    (home.folder / "hosts").mkdir()
    (home.folder / "hosts/lab-box.yaml").write_text("ssh: lab\n")


def an_inventory_that_is_gone(home: Home) -> None:
    home.patch.setenv("SIMMATE_REMOTE_HOSTS", str(home.folder / "nowhere"))


def an_old_distributed(home: Home) -> None:
    home.patch.setattr("simmate_remote.doctor.checks.here.version", lambda name: "1.0")


def a_folder_for_sockets_of_others(home: Home) -> None:
    runtime_folder().chmod(0o755)


def a_disk_that_cannot_be_written(home: Home) -> None:
    home.patch.setenv("XDG_CACHE_HOME", "/proc")


def few_descriptors(home: Home) -> None:
    home.patch.setattr(resource, "getrlimit", lambda _: (128, 128))


def a_database_that_does_not_answer(home: Home) -> None:
    home.patch.setenv("SIMMATE_REMOTE_DATABASE", f"postgresql://me@/runs?host={home.folder}")


def a_database_that_nobody_understands(home: Home) -> None:
    home.patch.setenv("SIMMATE_REMOTE_DATABASE", "mysql://me@db/runs")


def a_database_of_a_newer_program(home: Home) -> None:
    with contextlib.closing(sqlite3.connect(home.folder / "runs.db")) as made, made:
        made.execute("CREATE TABLE simmate_remote_version (version_num)")
        made.execute("INSERT INTO simmate_remote_version VALUES ('9999')")
    home.patch.setenv("SIMMATE_REMOTE_DATABASE", f"sqlite:///{home.folder}/runs.db")


def a_database_that_others_can_enter(home: Home) -> None:
    (home.folder / "data/simmate-remote/database").mkdir(parents=True, mode=0o755)


def a_full_disk_under_the_database(home: Home) -> None:
    home.patch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))


def a_session_that_was_killed(home: Home) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(runtime_folder() / "lab-box-0123456789.sock"))


def folder_of_a_database(home: Home, name: str, age: float = 100.0) -> Path:
    place = home.databases / f"simmate-remote-db-{name}"
    place.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place / SOCKET))
    os.utime(place, (time.time() - age, time.time() - age))
    return place


def a_database_that_was_killed(home: Home) -> None:
    folder_of_a_database(home, "dead")


FAULTS: list[tuple[str, Status, Callable[[Home], None]]] = [
    ("here-ssh", "warning", no_ssh),
    ("here-ssh", "warning", an_old_ssh),
    ("here-keys", "warning", a_key_for_everybody),
    ("here-keys", "warning", a_configuration_that_others_write),
    ("here-agent", "warning", an_agent_that_is_gone),
    ("here-inventory", "warning", a_wrong_host_file),
    ("here-inventory", "warning", a_folder_that_is_not_trusted),
    ("here-inventory", "failed", an_inventory_that_is_gone),
    ("here-python", "warning", an_old_distributed),
    ("here-runtime-folder", "failed", a_folder_for_sockets_of_others),
    ("here-disk", "failed", a_disk_that_cannot_be_written),
    ("here-descriptors", "warning", few_descriptors),
    ("here-database", "failed", a_database_that_does_not_answer),
    ("here-database", "failed", a_database_that_nobody_understands),
    ("here-database", "failed", a_database_of_a_newer_program),
    ("here-database-disk", "failed", a_database_that_others_can_enter),
    ("here-database-disk", "warning", a_full_disk_under_the_database),
    ("here-leftovers", "warning", a_session_that_was_killed),
    ("here-leftovers", "warning", a_database_that_was_killed),
]


async def look(name: str, *, fix: bool = False) -> Finding:
    (finding,) = await examine(None, [name], fix=fix)
    return finding


@pytest.mark.parametrize(("check", "status", "inject"), FAULTS, ids=lambda value: getattr(value, "__name__", value))
async def test_a_fault_is_found(home: Home, check: str, status: Status, inject: Callable[[Home], None]) -> None:
    inject(home)
    finding = await look(check)
    assert finding.status == status, finding.reason
    assert finding.why


async def test_a_machine_in_order_has_nothing_to_mend(home: Home) -> None:
    home.key(0o600)
    findings = await examine(None)
    assert [finding.check for finding in findings] == [name for name in ORDER if name.startswith("here-")]
    assert [finding.reason for finding in findings if finding.status != "ok"] == []


async def test_dead_sockets_are_removed_and_living_ones_stay(home: Home) -> None:
    a_session_that_was_killed(home)
    server = await asyncio.start_unix_server(
        lambda _, writer: writer.close(), runtime_folder() / "alive-0123456789.sock"
    )
    async with server:
        finding = await look("here-leftovers", fix=True)
        assert finding.status == "ok"
        assert finding.fixed is not None
        assert [path.name for path in runtime_folder().glob("*.sock")] == ["alive-0123456789.sock"]


async def test_what_could_not_be_looked_for_is_not_mended(home: Home) -> None:
    runtime_folder().chmod(0o755)
    finding = await look("here-leftovers", fix=True)
    assert finding.status == "failed"
    assert finding.reason.endswith("is not ours alone")


async def test_a_socket_with_no_room_for_one_more_is_not_removed(home: Home) -> None:
    path = runtime_folder() / "busy-0123456789.sock"
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as waiting:
        listening.bind(str(path))
        listening.listen(0)
        waiting.connect(str(path))
        await look("here-leftovers", fix=True)
        assert path.exists()


async def test_a_folder_of_ssh_that_cannot_be_entered_is_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.ssh.mkdir()
    shut(home.ssh, monkeypatch)
    finding = await look("here-keys", fix=True)
    assert (finding.status, finding.reason) == ("failed", f"{home.ssh} cannot be read: Permission denied")
    assert finding.remedies[0].command == f"ls -ld {home.ssh}"


async def test_folders_of_dead_databases_are_removed_and_those_of_living_ones_stay(home: Home) -> None:
    folder_of_a_database(home, "dead")
    young = folder_of_a_database(home, "young", age=0)
    living = folder_of_a_database(home, "living")
    (living / SOCKET).unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(living / SOCKET))
        server.listen()
        os.utime(living, (1.0, 1.0))
        finding = await look("here-leftovers", fix=True)
    assert finding.status == "ok"
    assert "simmate-remote-db-dead" in (finding.fixed or "")
    assert sorted(home.databases.iterdir()) == [living, young]


async def test_files_of_ssh_become_ours_alone(home: Home) -> None:
    key = home.key(0o644)
    (home.ssh / "config").touch()
    (home.ssh / "config").chmod(0o664)
    finding = await look("here-keys", fix=True)
    assert finding.status == "ok"
    assert key.stat().st_mode & 0o777 == 0o600
    assert (home.ssh / "config").stat().st_mode & 0o777 == 0o644
