"""How a keeper is wanted: said to our first code on the host, as soon as there is a login."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from simmate_remote.keeper.arrival import Wish
from simmate_remote.streams.keepalive import Keepalive


@dataclass(frozen=True)
class ProcessRequest:
    """A process that a new keeper starts before anything else, since it takes long to be ready.

    Args:
        name: What it is called.
        module: A module of ours.
        environment: What is added to its environment.
    """

    name: str
    module: str
    environment: dict[str, str]


@dataclass(frozen=True)
class LaunchRequest:
    """How the keeper is wanted.

    Args:
        folder: Our folder on the host; ``~`` is the home there.
        python: An interpreter, or an environment's folder, on the host; None: look for one that fits.
        lease: Seconds that a new keeper stays without a client, until it is told otherwise.
        distributions: Names of the distributions whose versions the host shall tell.
        keepalive: How a silent loss of a carrier is noticed.
        process: What a new keeper starts first; None where none shall be started.
        start: Whether a keeper is started if none lives there; otherwise that is an error.
        here: Whether one is started although another machine behind the same name has one.
    """

    folder: str
    python: str | None
    lease: float
    distributions: tuple[str, ...]
    keepalive: Keepalive
    process: ProcessRequest | None
    start: bool = True
    here: bool = False

    def wish(self) -> Wish:
        """Say it to our first code there."""
        words = {
            "lease": self.lease,
            "process": self.process and dataclasses.asdict(self.process),
            "start": self.start,
            "here": self.here,
        }
        return Wish(self.folder, self.python, words, self.distributions)
