"""Surviving logout: what is found out about a login, by programs that pretend to be systemd's, and what follows."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from simmate_remote.keeper.host import logout
from simmate_remote.keeper.host.logout import Login, decide, kills_processes_of, look, look_closer

REMEDY = "loginctl enable-linger"


@pytest.mark.parametrize(
    ("told", "kills"),
    [
        ("KillUserProcesses=no\n", False),
        ("KillUserProcesses=yes\n", True),
        ("KillUserProcesses=yes\nKillExcludeUsers=root ada\n", False),
        ("KillUserProcesses=yes\nKillExcludeUsers=root\n", True),
        ("KillUserProcesses=no\nKillOnlyUsers=ada bob\n", True),
        ("KillUserProcesses=yes\nKillOnlyUsers=bob\n", False),
        ("", False),
        ("Failed to connect to bus: No such file or directory\n", False),
    ],
)
def test_whom_logind_kills(told: str, kills: bool) -> None:
    assert kills_processes_of("ada", told) is kills


def test_root_is_excluded_unless_logind_says_otherwise() -> None:
    assert not kills_processes_of("root", "KillUserProcesses=yes\n")
    assert kills_processes_of("root", "KillUserProcesses=yes\nKillExcludeUsers=nobody\n")


@pytest.mark.parametrize(
    ("login", "wrapped", "remedy"),
    [
        (Login(), False, None),
        (Login(in_session=True), False, None),
        (Login(in_session=True, kills=True, lingers=True, has_manager=True), True, None),
        (Login(in_session=True, kills=True, has_manager=True), True, REMEDY),
        (Login(in_session=True, kills=True), False, REMEDY),
        (Login(in_session=True, kills=True, lingers=True), False, "systemctl --user status"),
    ],
)
def test_what_follows(login: Login, wrapped: bool, remedy: str | None) -> None:
    survival = decide(login)
    assert bool(survival.prefix) is wrapped
    assert [command for _, command in survival.warnings] == ([remedy] if remedy else [])


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(stat.S_IRWXU)


@pytest.fixture
def programs(user_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = user_folders / "programs"
    told = "echo KillExcludeUsers=nobody; echo KillOnlyUsers=$(id -un)"
    program(folder, "loginctl", f'case "$1" in show-user) echo Linger=yes;; *) {told};; esac')
    program(folder, "systemd-run", 'while [ "$1" != "--" ]; do shift; done; shift; exec "$@"')
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_a_site_that_kills_and_a_user_who_lingers(programs: Path) -> None:
    assert look_closer() == logout.Login(in_session=True, kills=True, lingers=True, has_manager=True)
    assert decide(look_closer()).prefix[:3] == ("systemd-run", "--user", "--scope")


def test_a_service_manager_that_cannot_be_reached(programs: Path) -> None:
    program(programs, "systemd-run", 'echo "Failed to connect to bus: No medium found" >&2; exit 1')
    assert look_closer() == logout.Login(in_session=True, kills=True, lingers=True)


def test_programs_that_hang_or_are_missing_are_done_without(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "loginctl", "sleep 100")
    monkeypatch.setattr(logout, "TIMEOUT", 0.2)
    assert look_closer() == Login(in_session=True)
    monkeypatch.setenv("PATH", str(programs / "nowhere"))
    assert look_closer() == Login(in_session=True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0::/user.slice/user-1000.slice/session-3.scope\n", True),
        ("12:cpu:/\n1:name=systemd:/user.slice/user-1000.slice/session-c12.scope\n0::/\n", True),
        ("0::/user.slice/user-1000.slice/session-3.scope/below\n", True),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope\n", False),
        ("0::/system.slice/sshd.service\n", False),
        ("", False),
    ],
)
def test_a_session_of_logind_is_known_by_its_scope(text: str, found: bool) -> None:
    assert (logout.SESSION.search(text) is not None) is found


def test_where_there_is_no_logind_no_program_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logout, "_ask", lambda *command: pytest.fail(f"{command} was asked"))
    monkeypatch.setattr(logout, "SESSION", re.compile("no line is like this"))
    assert look() == Login()
