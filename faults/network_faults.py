"""What happens to the network between here and the host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from faults.place import Place

ROUND_TRIP = 20.0
"""Milliseconds that the lab's network takes in every fault but one; without any, a transfer is over too soon."""

SLOW_ROUND_TRIP = 100.0
LOSS = 0.5


@contextlib.contextmanager
def down(place: Place, seconds: float) -> Iterator[None]:
    """Lose everything, silently."""
    with place.lab.network.down():
        yield


@contextlib.contextmanager
def forgotten(place: Place, seconds: float) -> Iterator[None]:
    """Let the firewall forget every connection: packets vanish, new connections are welcome."""
    place.lab.network.forget_connections()
    yield


@contextlib.contextmanager
def lossy(place: Place, seconds: float) -> Iterator[None]:
    """Lose packets at random, on a long way."""
    with place.lab.network.delay(SLOW_ROUND_TRIP), place.lab.network.loss(LOSS):
        yield


@contextlib.contextmanager
def new_address(place: Place, seconds: float) -> Iterator[None]:
    """Give this machine another address, as a laptop in another network has."""
    place.lab.network.new_address()
    yield


@contextlib.contextmanager
def forgets_idle(place: Place, seconds: float) -> Iterator[None]:
    """Let a NAT forget what has been silent for three quarters of the time that the fault takes."""
    with place.lab.network.forget_idle(int(seconds * 0.75)):
        yield
