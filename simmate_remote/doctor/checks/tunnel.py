"""A keeper that is started for the examination, and the way of bytes through it."""

from __future__ import annotations

from typing import Any

from simmate_remote.doctor.amounts import in_bytes
from simmate_remote.doctor.check import Check, Stage
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.finding import Finding
from simmate_remote.errors import Remedy

SLOW_START = 5.0
LONG_ROUND_TRIP = 0.3
SLOW = 10**6
"""Bytes a second; below, a result of 100 MB takes minutes."""


class Keeper(Check):
    """Whether a keeper starts and answers; it has a folder of its own, and nothing of yours is touched."""

    name = "keeper"
    title = "a keeper"
    why = "it is what holds scheduler, workers and connections on the host"
    stage = Stage.TUNNEL
    requires = ("python", "runtime-folder")
    limit = 40.0

    async def run(self, about: Examination) -> Finding:
        tunnel = await about.tunnel()
        assert tunnel.launched is not None
        text = f"one started and answered in {tunnel.seconds:.1f} s"
        data: dict[str, Any] = {"seconds": round(tunnel.seconds, 3), "warnings": list(tunnel.launched.warnings)}
        if tunnel.seconds > SLOW_START:
            slow = Remedy(f"{about.ssh} true", "shows how much of that is the login shell")
            return Finding.warning(text, slow, why="each first `connect` takes as long", **data)
        return Finding.ok(text, **data)


class RoundTrip(Check):
    """How long a byte takes through the tunnel and back."""

    name = "round-trip"
    title = "the round trip"
    why = "each question to scheduler, dashboard and database takes as long"
    stage = Stage.TUNNEL

    async def run(self, about: Examination) -> Finding:
        seconds = await (await about.tunnel()).round_trip()
        text = f"{seconds * 1000:.1f} ms through the tunnel"
        if seconds > LONG_ROUND_TRIP:
            way = Remedy(
                f"{about.ssh} true", "if this is as slow, it is the network; a ProxyJump, or the VPN, may be the reason"
            )
            return Finding.warning(text, way, seconds=seconds)
        return Finding.ok(text, seconds=seconds)


class Throughput(Check):
    """How many bytes a second go up and come down through the tunnel; 8 MiB each at most."""

    name = "throughput"
    title = "the throughput"
    why = "files, arguments and results of tasks go through it"
    stage = Stage.TUNNEL
    requires = ("round-trip",)
    limit = 30.0

    async def run(self, about: Examination) -> Finding:
        tunnel = await about.tunnel()
        round_trip = about.findings["round-trip"].data["seconds"]
        down, down_size = await tunnel.speed("down", round_trip)
        up, up_size = await tunnel.speed("up", round_trip)
        text = f"{in_bytes(down)}/s down, {in_bytes(up)}/s up"
        data: dict[str, Any] = {"down": round(down), "up": round(up), "bytes": down_size + up_size}
        if min(down, up) < SLOW:
            network = Remedy(
                f"{about.ssh} true", "if this is slow, too, it is the network; Compression in ~/.ssh/config may help"
            )
            return Finding.warning(text, network, **data)
        return Finding.ok(text, **data)
