"""The keeper that a session wants: asked for by its first login, and again by each one that follows."""

from __future__ import annotations

from simmate_remote.environment.versions import COMPARED
from simmate_remote.keeper.request import LaunchRequest, ProcessRequest
from simmate_remote.session.order import SessionOrder
from simmate_remote.streams.keepalive import Keepalive

NURSERY = "simmate_remote.cluster.host.nursery"
FIRST_LEASE = 10.0
"""Seconds that a new keeper stays without us, until all is there and the host's own lease counts."""


def keeper_request(order: SessionOrder, *, start: bool) -> LaunchRequest:
    """Give what a session asks of a keeper.

    Args:
        order: The host.
        start: Whether one is started if none lives there.
    """
    return LaunchRequest(
        folder=order.folder,
        python=order.python,
        lease=FIRST_LEASE,
        distributions=COMPARED,
        keepalive=Keepalive(order.keepalive_interval, order.keepalive_tries),
        process=ProcessRequest("nursery", NURSERY, order.workers.get("environment") or {}),
        start=start,
        here=order.here,
    )
