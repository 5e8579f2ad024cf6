"""The lease and unfinished work, seen through whole sessions; ``ps`` and ``down`` from any machine."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import fire_and_forget

from simmate_remote import connect
from simmate_remote.errors import KeeperGoneError
from simmate_remote.inventory import Duration, load_host
from tests.boxes import Box
from tests.hosts import host_of, leave_session, travels, wait_until
from tests.test_cli import Terminal


@travels
def write_when_told(name: str) -> None:
    import time
    from pathlib import Path

    while not Path(name).exists():
        time.sleep(0.05)
    Path(name).write_text("done")


@pytest.mark.slow_in_the_lab
def test_unfinished_work_holds_the_lease_and_its_end_lets_go(box: Box) -> None:
    host = host_of(box, lease=Duration(2))
    told = f"/tmp/simmate-remote-told-{os.getpid()}-{box.name}"
    try:
        with connect(host) as lab:
            lab.client.submit(abs, -1).result(timeout=30)
            fire_and_forget(lab.client.submit(write_when_told, told))
            wait_until(lambda: any(lab.client.processing().values()), 20, "it runs")
        leave_session(host)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 6, 10, "three lengths of the lease passed")
        assert box.processes(), "everything ended under work that is unfinished"
        box.run(f"touch {told}")
        wait_until(lambda: not box.processes(), 20, "the lease ran out")
        assert box.run(f"cat {told}").stdout == "done"
    finally:
        box.run(f"rm -f {told}")


@pytest.fixture
def terminal(box: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    box.inventory(tmp_path / "hosts")
    monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(tmp_path / "hosts"))
    monkeypatch.setenv("COLUMNS", "200")
    return Terminal(capsys)


def test_ps_and_down_where_nothing_is(box: Box, terminal: Terminal) -> None:
    assert terminal.json("ps", "lab-box")["running"] is False
    assert "nothing of ours runs there" in terminal("ps", "lab-box")
    assert terminal.json("down", "lab-box")["ended"] is False
    assert "nothing had to be ended" in terminal("down", "lab-box")


def test_ps_and_down_with_a_session_here(box: Box, terminal: Terminal) -> None:
    terminal("connect", "lab-box")
    logins = box.logins()
    report = terminal.json("ps", "lab-box")
    assert report["running"] is True
    names = {each["name"] for each in report["processes"]}
    ours = {"guardian", "keeper", "nursery", "fork server", "resource tracker", "scheduler", "worker-0"}
    assert ours <= names
    assert report["lease_ends"] is None
    lines = {pid: " ".join(argv) for pid, argv in box.processes()}
    told = {each["name"]: lines[each["pid"]] for each in reversed(report["processes"])}  # of equal names the parent's
    assert "simmate_remote.keeper.host.guardian" in told["guardian"]
    assert told["keeper"].startswith("simmate-remote: keeper /")
    assert "simmate_remote.cluster.host.nursery" in told["nursery"]
    for name in ("fork server", "resource tracker", "scheduler"):
        assert told[name] == f"simmate-remote: {name}"
    assert told["worker-0"] == "simmate-remote: nanny of worker-0"
    wait_until(lambda: ["simmate-remote: worker-0"] in [argv for _, argv in box.processes()], 20, "its worker is shown")
    shown = terminal("ps", "lab-box")
    for wanted in ("scheduler", "not counting down: somebody is connected", "unfinished", "session"):
        assert wanted in shown
    assert "processes on" in terminal("down", "lab-box")
    assert box.logins() == logins
    assert terminal.json("status") == []
    wait_until(lambda: not box.processes(), 15, "everything ended")


def test_ps_and_down_from_another_machine(box: Box, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal("connect", "lab-box")
    with another_machine(monkeypatch):
        assert terminal.json("status") == []
        report = terminal.json("ps", "lab-box")
        assert [each["carriers"] > 0 for each in report["sessions"]] == [True]
        assert terminal.json("down", "lab-box")["ended"] is True
        assert "nothing of ours runs there: everything on the host was ended: `down`, by" in terminal("ps", "lab-box")
    wait_until(lambda: terminal.json("status") == [], 15, "the session here ended with it")


def test_a_look_does_not_hold_the_lease(box: Box, terminal: Terminal) -> None:
    terminal("connect", "lab-box")
    terminal("disconnect", "lab-box")
    ends = [terminal.json("ps", "lab-box")["lease_ends"] for _ in range(2)]
    assert ends[0] is not None
    assert ends[0] == pytest.approx(ends[1], abs=0.1)
    assert "unless somebody connects" in terminal("ps", "lab-box")
    terminal("down", "lab-box")


@contextlib.contextmanager
def another_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be a machine that knows the host, and has no session."""
    with tempfile.TemporaryDirectory(prefix="other-", dir="/tmp") as folder, monkeypatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        patch.setenv("XDG_STATE_HOME", folder)
        yield


@pytest.mark.slow_in_the_lab
def test_who_waits_for_work_hears_that_somebody_ended_everything(
    box: Box, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = load_host("lab-box")
    with connect(host) as lab:
        future = lab.client.submit(time.sleep, 1000)
        with another_machine(monkeypatch):
            assert terminal.json("down", "lab-box")["ended"] is True
        with pytest.raises(KeeperGoneError, match="everything on the host was ended: `down`, by"):
            future.result(timeout=20)
