"""Whoever gives up waiting loses nothing that was there before, and is told what is true."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simmate_remote import connect
from simmate_remote.cli import connect as connecting
from simmate_remote.cli import sessions
from simmate_remote.cli.app import main
from simmate_remote.errors import SessionStoppedError
from simmate_remote.inventory import Host
from simmate_remote.link import Prompt
from simmate_remote.session.client import SessionClient, find, find_or_start
from simmate_remote.session.first_login import FirstLogin
from simmate_remote.session.order import SessionOrder
from simmate_remote.session.session import Session
from simmate_remote.session.visit import visit
from simmate_remote.testing import EmbeddedHost
from tests.boxes import Box, EmbeddedBox
from tests.hosts import end_session, host_of, leave_session, pid_there, session_pid, wait_until
from tests.ours import session_processes
from tests.users import PROGRAM

on_embedded = pytest.mark.parametrize("box", ["embedded"], indirect=True)


@contextlib.contextmanager
def typed(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Type a command line, and do not wait for it."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([PROGRAM, *words], text=True, start_new_session=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def host(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Give a host whose Python starts as soon as the gate is open, or at once where there is no gate."""
    slow = tmp_path / "python"
    slow.write_text(f'#!/bin/sh\n[ -p {tmp_path}/gate ] && echo here > {tmp_path}/gate\nexec {box.python} "$@"\n')
    slow.chmod(0o755)
    host = host_of(box, python=str(slow))
    folder = tmp_path / "hosts"
    box.inventory(folder)
    file = folder / "lab-box.yaml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("python:")]
    file.write_text("\n".join([*lines, f"python: {slow}", ""]))
    monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(folder))
    monkeypatch.setenv("COLUMNS", "200")
    return host


def leave_something(host: Host) -> int:
    """Leave a scheduler on a host that is meant to last, and give its process id."""
    connect(host).close()
    scheduler = pid_there(host, "scheduler")
    leave_session(host)
    return scheduler


def lives(box: Box, pid: int) -> bool:
    return pid in [each for each, _ in box.processes()]


@on_embedded
def test_a_connect_that_is_given_up_leaves_what_an_earlier_one_left(box: Box, host: Host, tmp_path: Path) -> None:
    scheduler = leave_something(host)
    os.mkfifo(gate := tmp_path / "gate")
    with typed("connect", "lab-box") as connecting:
        assert connecting.stderr is not None
        assert any("starting the keeper" in line for line in connecting.stderr)
        connecting.send_signal(signal.SIGINT)
        assert any("ending what was begun" in line for line in connecting.stderr)
        gate.read_text()
        assert connecting.wait(40) == 130
    gate.unlink()
    assert lives(box, scheduler)
    connect(host).close()
    assert pid_there(host, "scheduler") == scheduler
    end_session(host)


@on_embedded
def test_a_lasting_session_that_is_slow_to_say_so_leaves_what_it_has_there(
    box: Box, host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(host).close()
    scheduler, session = pid_there(host, "scheduler"), session_pid(host)
    monkeypatch.setattr(sessions, "PATIENCE", 0.2)

    async def while_it_sleeps(client: SessionClient) -> dict[str, Any]:
        os.kill(session, signal.SIGSTOP)
        try:
            return await sessions.report_of(client)
        finally:
            os.kill(session, signal.SIGCONT)

    monkeypatch.setattr(connecting, "report_of", while_it_sleeps)
    disconnect("lab-box")
    assert "lab-box: left\n" in capsys.readouterr().out
    assert lives(box, scheduler)
    connect(host).close()
    end_session(host)


@on_embedded
def test_a_session_that_does_not_answer_is_killed(
    box: Box, host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(host).close()
    scheduler, session = pid_there(host, "scheduler"), session_pid(host)
    monkeypatch.setattr(sessions, "PATIENCE", 0.2)
    monkeypatch.setattr(connecting, "PATIENCE", 0.2)
    os.kill(session, signal.SIGSTOP)
    try:
        disconnect("lab-box")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(session, signal.SIGCONT)
    printed = capsys.readouterr().out
    assert "was killed" in printed
    assert "simmate-remote down lab-box" in printed
    assert lives(box, scheduler)
    connect(host).close()
    assert pid_there(host, "scheduler") == scheduler
    end_session(host)


@pytest.mark.slow
@on_embedded
def test_work_that_only_a_program_here_wanted_is_dropped_when_the_session_is_left(box: Box, host: Host) -> None:
    async def work_there() -> tuple[int, int]:
        async with visit(host, None, lambda _: None) as visiting:
            report = await visiting.report()
            return report["work"]["unfinished"], len(report["sessions"])

    with connect(host) as lab:
        future = lab.client.submit(time.sleep, 1000)
        wait_until(lambda: asyncio.run(work_there()) == (1, 1), 20, "it is at work")
        leave_session(host)
        with pytest.raises(SessionStoppedError):
            future.result(timeout=30)
        wait_until(lambda: asyncio.run(work_there()) == (0, 0), 20, "nobody wants it any more")
    connect(host).close()
    end_session(host)


@on_embedded
def test_down_ends_what_is_there_while_another_command_still_logs_in(box: Box, host: Host, tmp_path: Path) -> None:
    scheduler = leave_something(host)

    async def give_up_a_login() -> bool:
        session = await find_or_start(host)
        try:
            await session.own()
            # Nobody follows it yet, so that it has not begun.
            return await session.stop(end_everything=True)
        finally:
            session.close()
            await session.wait_closed()

    assert not asyncio.run(give_up_a_login())
    assert lives(box, scheduler)
    assert subprocess.run([PROGRAM, "down", "lab-box"], check=True, capture_output=True).stdout
    assert not lives(box, scheduler)


@on_embedded
def test_a_connect_that_is_given_up_before_its_session_answers_leaves_none(box: Box, host: Host) -> None:
    logins = box.logins()
    with typed("connect", "lab-box") as connecting:
        wait_until(session_processes, 20, "the session's process", pace=0)
        connecting.send_signal(signal.SIGINT)
        assert connecting.wait(20) == 130
    wait_until(lambda: not session_processes(), 20, "the end of the session")  # and not the 30 s for an owner
    assert box.logins() <= logins + 1  # which may have begun by then


class Nobody:
    """The people behind a session that has no clients."""

    async def ask(self, prompt: Prompt) -> str | None:
        return None

    def somebody_answers(self) -> bool:
        return False

    async def somebody_came(self) -> None:
        await asyncio.Event().wait()

    async def somebody_follows(self) -> None:
        pass

    async def tell_end(self) -> None:
        pass


@on_embedded
async def test_a_session_that_is_stopped_just_before_it_starts_a_keeper_starts_none(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = SessionOrder.of(host_of(box), "tests")
    session = Session(order, FirstLogin(order), Nobody())
    step, reach, leave = session.progress.step, session.remote.reach_keeper, session.dask.leave
    reached = asyncio.Event()
    stopping: set[asyncio.Task[bool]] = set()

    def stop_before_the_keeper(what: str) -> None:
        step(what)
        if what == "starting the keeper":
            stopping.add(asyncio.create_task(session.stop()))

    async def tell_when_reached() -> None:
        try:
            await reach()
        finally:
            reached.set()

    async def take_all_the_time_in_the_world() -> None:
        await asyncio.wait_for(reached.wait(), 20)
        await leave()

    monkeypatch.setattr(session.progress, "step", stop_before_the_keeper)
    monkeypatch.setattr(session.remote, "reach_keeper", tell_when_reached)
    monkeypatch.setattr(session.dask, "leave", take_all_the_time_in_the_world)
    await session.run()
    assert await asyncio.gather(*stopping) == [False]
    assert session.remote.launched is None


def test_a_login_that_waits_for_an_answer_is_told_that_another_command_has_ended_it(tmp_path: Path) -> None:
    with EmbeddedHost(authentication="password") as embedded:
        host = host_of(EmbeddedBox(embedded))

        async def log_in() -> str:
            session = await find_or_start(host)
            await session.own()
            asked = asyncio.Event()

            async def think(prompt: Prompt) -> str | None:
                asked.set()
                await asyncio.Event().wait()
                return None

            following = asyncio.create_task(session.follow(think))
            await asyncio.wait_for(asked.wait(), 20)
            other = await find(host)
            await other.stop()
            other.close()
            with pytest.raises(SessionStoppedError) as told:
                await asyncio.wait_for(following, 20)
            session.close()
            await session.wait_closed()
            return told.value.what

        assert asyncio.run(log_in()) == "the session was stopped"


def disconnect(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["disconnect", *words])
    assert not ended.value.code
