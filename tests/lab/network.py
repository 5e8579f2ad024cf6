"""The network between this machine and the box: latency, loss, outages, and a firewall that forgets."""

from __future__ import annotations

import json
import socket
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from tests.lab.change import Change
from tests.lab.firewall import set_firewall, set_idle_limit

ANSWER_LIMIT = 10.0
UNTOUCHED: dict[str, object] = {"delay": 0, "loss": 0, "down": False}
FOR_EVER = 432_000  # seconds: the kernel's own limit for idle connections


class Network:
    """Changes the network of a running lab; usable from any process of root.

    Everything that changes something gives a :class:`Change`: as a context manager it is taken back at the end.

    Args:
        folder: The lab's folder.
        init_pid: Number on this machine of the box's first process.
    """

    def __init__(self, folder: Path, init_pid: int) -> None:
        self._folder = folder
        self._init_pid = init_pid

    def state(self) -> dict[str, Any]:
        """Return addresses, device, one-way delay (seconds), loss (a fraction) and whether it is down."""
        return self._order({})

    def delay(self, milliseconds: float) -> Change:
        """Let every round trip take that much longer; half of it is spent on each way.

        Args:
            milliseconds: Round-trip time.
        """
        before = self.state()["delay"]
        self._order({"delay": milliseconds / 2000})
        return Change(lambda: self._order({"delay": before}))

    def loss(self, percent: float) -> Change:
        """Lose packets at random, each way.

        Args:
            percent: Probability for one packet of at most 1500 bytes.
        """
        before = self.state()["loss"]
        self._order({"loss": percent / 100})
        return Change(lambda: self._order({"loss": before}))

    def down(self) -> Change:
        """Lose everything, silently, also what is on its way: a lid that was closed, a train in a tunnel."""
        self._order({"down": True})
        return Change(self.up)

    def up(self) -> None:
        """End an outage; delay and loss stay what they were."""
        self._order({"down": False})

    def restore(self) -> dict[str, Any]:
        """Be undelayed, lossless and up again, and return what was otherwise, as :meth:`state` tells it."""
        found = self.state()
        changed = {name: found[name] for name, value in UNTOUCHED.items() if found[name] != value}
        if changed:
            self._order(dict(UNTOUCHED))
        return changed

    def forget_connections(self) -> None:
        """Let the firewall forget all connections: their packets vanish silently, new connections are welcome."""
        set_firewall(self._init_pid)

    def forget_idle(self, seconds: int) -> Change:
        """Let the firewall forget every connection that was idle for a while, as the NAT of a home router does.

        Args:
            seconds: How long.
        """
        set_idle_limit(self._init_pid, seconds, strict=True)
        return Change(lambda: set_idle_limit(self._init_pid, FOR_EVER, strict=False))

    def open_firewall(self) -> Change:
        """Let the firewall accept everything, both ways: what stock tools need that dial any port."""
        set_firewall(self._init_pid, everything=True)
        return Change(self.forget_connections)

    def new_address(self) -> str:
        """Give this machine another address, as a laptop in another network has, and return it.

        Connections from the old address get no more answers.
        """
        new = str(IPv4Address(self.state()["laptop_address"]) + 9)
        self._order({"laptop_address": new})
        return new

    def plug(self) -> None:
        """Connect the box to the cable, behind its firewall."""
        set_firewall(self._init_pid)
        self._order({"plug": self._init_pid})

    def unplug(self) -> None:
        """Disconnect the box, so that nobody hears of its end."""
        self._order({"unplug": True})

    def _order(self, order: dict[str, object]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_LIMIT)
            connection.connect(f"{self._folder}/cable")
            connection.sendall(json.dumps(order).encode() + b"\n")
            with connection.makefile() as lines:
                reply: dict[str, Any] = json.loads(lines.readline())
        if "error" in reply:
            raise RuntimeError(f"the cable refused {order}: {reply['error']}")
        return reply
