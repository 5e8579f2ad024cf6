"""One machine on the way to the host, and how messages call it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from simmate_remote.link.base import Destination
from simmate_remote.link.known_hosts import HostName
from simmate_remote.link.settings import HostSettings


@dataclass(frozen=True)
class Hop:
    """One login on the way; the last hop is the host itself.

    Args:
        destination: Where the whole way goes.
        settings: What the configuration says about this machine.
        number: Its place on the way, from 1.
        count: How many there are.
    """

    destination: Destination
    settings: HostSettings
    number: int = 1
    count: int = 1

    @property
    def is_jump(self) -> bool:
        return self.number < self.count

    @property
    def address(self) -> str:
        """Name and port, as in "127.0.0.1 port 22"."""
        return f"{self.settings.host} port {self.settings.port}"

    @property
    def name(self) -> str:
        """What messages call it: its address, and that it is a jump host where it is one."""
        return f"the jump host {self.address} (hop {self.number} of {self.count})" if self.is_jump else self.address

    @property
    def known_as(self) -> HostName:
        """The name that its key is kept under."""
        if alias := self.settings.value("hostkeyalias"):
            return HostName(alias, alias=True)
        return HostName(self.settings.host.lower(), self.settings.port)

    @property
    def patience(self) -> float:
        """Seconds for one step: ConnectTimeout where it is configured, else the destination's."""
        return float(self.settings.number("connecttimeout", 0)) or self.destination.connect_timeout

    def ssh(self, *flags: str) -> str:
        """Return the command line that logs in to this machine with the ssh program."""
        config = ["-F", self.destination.config] if self.destination.config is not None else []
        return shlex.join(["ssh", *flags, *config, str(self.settings.target)])
