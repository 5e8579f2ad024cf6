"""The network goes away and comes back; whoever waits for work on the host notices nothing but the time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from simmate_remote import RemoteCluster, connect
from simmate_remote.errors import KeeperGoneError
from simmate_remote.inventory import Duration, Host
from simmate_remote.link import Prompt
from simmate_remote.session.client import find
from simmate_remote.session.join import join
from tests.boxes import Box
from tests.hosts import end_session, host_of, leave_session, session_pid, travels, wait_until
from tests.lab import Lab


def status_of(host: Host) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        session = await find(host)
        try:
            return await session.status()
        finally:
            session.close()
            await session.wait_closed()

    return asyncio.run(ask())


def has_logins(box: Box, number: int) -> bool:
    return box.logins() == number


@travels
def slowly(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number * number


@pytest.mark.slow_in_the_lab
def test_work_goes_on_through_every_cut_of_the_link(box: Box) -> None:
    host = host_of(box)
    notices: list[str] = []
    with RemoteCluster(host, notice=notices.append) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        pid = session_pid(host)
        futures = client.map(slowly, range(40), seconds=0.1)
        large = client.submit(bytes, 30_000_000)
        for number in range(2, 5):
            box.cut()
            later = client.submit(slowly, 7, 0.01, pure=False)
            wait_until(partial(has_logins, box, number), 30, "the host was reached again")
            assert later.result(timeout=30) == 49
        assert client.gather(futures) == [number * number for number in range(40)]
        assert large.result(timeout=60) == bytes(30_000_000)
        assert client.status == "running"
        assert session_pid(host) == pid
        report = status_of(host)
    assert [outage["ended"] is not None for outage in report["outages"]] == [True] * 3
    assert [notice.split(": ")[1].split(" ")[0] for notice in notices] == ["since", "connected"] * 3


@pytest.mark.slow
@pytest.mark.lab
def test_a_silent_outage_is_noticed_and_survived(lab: Lab, lab_box: Box) -> None:
    host = host_of(lab_box)
    with RemoteCluster(host) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        futures = client.map(slowly, range(20), seconds=0.2)
        lab.network.down()
        wait_until(lambda: status_of(host)["state"] == "reconnecting", 30, "the silence was noticed")
        lab.network.up()
        assert client.gather(futures) == [number * number for number in range(20)]
        assert status_of(host)["state"] == "connected"


@pytest.mark.lab
def test_a_rebooted_host_is_told_and_the_next_connect_starts_afresh(lab: Lab, lab_box: Box) -> None:
    host = host_of(lab_box)
    with RemoteCluster(host) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        future = client.submit(slowly, 1, 1000)
        lab.reboot()
        with pytest.raises(KeeperGoneError) as caught:
            future.result(timeout=60)
        assert "simmate-remote connect lab-box" in str(caught.value)
    with RemoteCluster(host) as cluster, Client(cluster) as client:
        assert client.submit(abs, -3).result(timeout=30) == 3


@pytest.mark.lab
def test_a_login_that_needs_a_code_waits_for_the_next_connect(lab: Lab, lab_box: Box) -> None:
    host = host_of(lab_box)
    asked: list[str] = []

    async def answer(prompt: Prompt) -> str | None:
        asked.append(prompt.kind)
        return lab.next_code("researcher")

    async def connect_again() -> None:
        session = await join(host, lasting=False, ask=answer)
        session.close()
        await session.wait_closed()

    with (
        lab.one_time_codes("publickey,keyboard-interactive"),
        RemoteCluster(host, ask=answer) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=30)
        future = client.submit(slowly, 9, 2)
        lab_box.cut()
        wait_until(lambda: status_of(host)["state"] == "waiting for you", 30, "the session waits for a person")
        asyncio.run(connect_again())
        assert future.result(timeout=30) == 81
        assert status_of(host)["state"] == "connected"
    assert asked == ["code", "code"]


@pytest.mark.lab
@pytest.mark.slow
def test_connect_hands_over_the_agent_of_its_shell(
    lab: Lab, lab_box: Box, user_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = lab.accounts["researcher"].key
    config = user_folders / "ssh_config"
    lines = [line for line in lab.ssh_config.read_text().splitlines() if "IdentityAgent" not in line]
    config.write_text("\n".join(line for line in lines if "IdentitiesOnly" not in line and "IdentityFile" not in line))
    host = host_of(lab_box, ssh_config=config)
    with agent(user_folders / "first", key) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        with connect(host) as box_here:
            assert box_here.client.submit(abs, -1).result(timeout=30) == 1
    try:
        with RemoteCluster(host) as cluster, Client(cluster) as client:
            future = client.submit(slowly, 6, 1)
            lab_box.cut()
            wait_until(lambda: status_of(host)["state"] == "waiting for you", 30, "no agent has the key")
            with agent(user_folders / "second", key) as socket:
                monkeypatch.setenv("SSH_AUTH_SOCK", socket)
                asyncio.run(let_go(host))
                assert future.result(timeout=30) == 36
    finally:
        end_session(host)


@contextlib.contextmanager
def agent(path: Path, key: Path | None) -> Iterator[str]:
    """Run an SSH agent that holds a key."""
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL) as process:
        wait_until(path.exists, 20, "the agent listens")
        subprocess.run(["ssh-add", "-q", str(key)], env={**os.environ, "SSH_AUTH_SOCK": str(path)}, check=True)
        try:
            yield str(path)
        finally:
            process.terminate()


async def let_go(host: Host) -> None:
    """Connect, as the command does, and leave."""
    session = await join(host, lasting=False)
    session.close()
    await session.wait_closed()


@pytest.mark.slow_in_the_lab
def test_a_session_that_stood_still_goes_on_where_it_was(box: Box) -> None:
    host = host_of(box)
    with RemoteCluster(host) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        futures = client.map(slowly, range(10), seconds=0.1)
        pid = session_pid(host)
        os.kill(pid, signal.SIGSTOP)
        try:
            box.cut()
            with pytest.raises(TimeoutError):
                client.submit(slowly, 3, 0.01, pure=False).result(timeout=3)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert client.gather(futures) == [number * number for number in range(10)]


@pytest.mark.slow_in_the_lab
def test_a_second_machine_leaves_the_streams_of_the_first_alone(
    box: Box, user_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = host_of(box)
    first = {name: os.environ[name] for name in ("XDG_STATE_HOME", "XDG_RUNTIME_DIR")}
    with connect(host) as here:
        here.client.wait_for_workers(2, timeout=30)
        future = here.client.submit(slowly, 8, 1.0)
        pid = session_pid(host)
        os.kill(pid, signal.SIGSTOP)
        box.cut()
        for name in first:
            (user_folders / f"second-{name}").mkdir(mode=0o700)
            monkeypatch.setenv(name, str(user_folders / f"second-{name}"))
        with connect(host) as there:
            assert there.client.submit(abs, -4).result(timeout=30) == 4
        leave_session(host)
        for name, value in first.items():
            monkeypatch.setenv(name, value)
        os.kill(pid, signal.SIGCONT)
        assert future.result(timeout=30) == 64
    end_session(host)


@pytest.mark.lab
@pytest.mark.slow
def test_a_host_that_stays_away_for_longer_than_its_lease_is_given_up(lab: Lab, lab_box: Box) -> None:
    host = host_of(lab_box, lease=Duration(8))
    with RemoteCluster(host) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        future = client.submit(slowly, 1, 1000)
        with lab.network.down(), pytest.raises(KeeperGoneError, match="could not be reached for 8 s") as caught:
            future.result(timeout=90)
        assert "simmate-remote connect lab-box" in str(caught.value)
