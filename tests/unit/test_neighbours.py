"""Whose a connection over the loopback interface is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from simmate_remote.streams import neighbours
from simmate_remote.streams.neighbours import is_of_another_user

NOBODY = 65534
DIAL = """
import os, socket, sys
os.setgroups([]); os.setuid(int(sys.argv[2]))
connection = socket.create_connection((sys.argv[3], int(sys.argv[1])))
print("here", flush=True)
sys.stdin.read()
"""

NO_SUCH_FAMILY = 31


@pytest.fixture(params=["asked", "in its tables"], autouse=True)
def the_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test run also where the kernel answers no questions, as in some containers."""
    if request.param != "asked":
        monkeypatch.setattr(neighbours, "NETLINK_SOCK_DIAG", NO_SUCH_FAMILY)


needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells whose a connection is")


@needs_proc
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_our_own_connections_are_nobody_elses_until_they_are_over(family: socket.AddressFamily) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket(family) as ours:
        place = listening.getsockname()
        ours.connect(place if family == socket.AF_INET else (f"::ffff:{place[0]}", place[1]))
        accepted, peer = listening.accept()
        with accepted:
            assert not is_of_another_user(peer, accepted.getsockname())
            assert is_of_another_user((peer[0], 1), accepted.getsockname())


@needs_proc
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user: sudo make test")
@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_a_neighbours_connection_is_known(address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        words = [sys.executable, "-c", DIAL, str(listening.getsockname()[1]), str(NOBODY), address]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as neighbour:
            assert neighbour.stdout is not None
            assert neighbour.stdout.readline() == "here\n"
            accepted, peer = listening.accept()
            with accepted:
                assert is_of_another_user(peer, accepted.getsockname())
