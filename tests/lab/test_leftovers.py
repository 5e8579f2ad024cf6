"""Nothing is left: by a test in a lab that it shares with others, and by a lab on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.lab.folder import LABS
from tests.lab.leftovers import assert_as_found

reason = Lab.missing()
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(reason is not None, reason=f"{reason[0]}; this would enable it: {reason[1]}" if reason else ""),
]


def test_what_a_test_left_is_named_and_mended(lab: Lab) -> None:
    command = ["ssh", "-F", str(lab.ssh_config), "lab-box", "echo begun; read answer"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        lab.sshd(MaxSessions=2)
        lab.network.delay(20)
        with pytest.raises(AssertionError) as caught:
            assert_as_found(lab, leaving=0.1)
        process.communicate(timeout=10)
    for left in ("a login: ", "MaxSessions", "delay is 0.01"):
        assert left in str(caught.value)
    assert_as_found(lab)


def test_a_login_whose_end_was_lost_is_nobodys_fault(lab: Lab) -> None:
    command = ["ssh", "-F", str(lab.ssh_config), "lab-box", "echo begun; read answer"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        lab.network.forget_connections()
        process.kill()
    assert_as_found(lab, unheard=0.1)
    lab.wait_until_idle("researcher")


def devices() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def in_use(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def namespaces() -> set[str]:
    """Return the network namespaces of all processes."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.add(os.readlink(path))
        except OSError:
            continue
    return found


def test_down_leaves_nothing() -> None:
    before = devices(), namespaces(), Path("/proc/mounts").read_text()
    lab = Lab.up()
    stays = ["ssh", "-F", str(lab.ssh_config), "lab-box", "nohup sleep 1000 >/dev/null 2>&1 &"]
    subprocess.run(stays, capture_output=True, timeout=30, check=True)
    pid, folder = lab.box.init_pid, lab.folder
    lab.down()
    assert not in_use(pid)
    assert not folder.exists()
    assert (devices(), namespaces(), Path("/proc/mounts").read_text()) == before


MAKE_AND_WAIT = """
import sys
from tests.lab import Lab
lab = Lab.up()
print(lab.folder, lab.box.init_pid, lab.network.state()["device"], flush=True)
sys.stdin.read()
"""


def test_a_killed_lab_leaves_nothing() -> None:
    command = [sys.executable, "-c", MAKE_AND_WAIT]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as maker:
        assert maker.stdout is not None
        folder, pid, device = maker.stdout.readline().split()
        assert device in devices()
        maker.kill()
    limit = time.monotonic() + 10
    while (in_use(int(pid)) or device in devices()) and time.monotonic() < limit:
        time.sleep(0.01)
    assert not in_use(int(pid))
    assert device not in devices()
    Lab.up().down()
    assert Path(folder) not in LABS.iterdir()
