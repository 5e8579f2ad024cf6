"""A session follows its host's desk, whatever comes of the workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from simmate_remote.errors import ClusterError
from simmate_remote.runs import following
from simmate_remote.session.collecting import Collecting
from simmate_remote.session.remote_host import RemoteHost
from simmate_remote.streams.calls import Caller


class PlayedFollower:
    """A follower that has nothing to write."""

    def __init__(self, *_: object) -> None:
        self.trouble = None

    async def follow(self) -> None:
        await asyncio.Event().wait()

    async def deliver(self) -> dict[str, str]:
        return {"r1": "cancelled"}


def a_host() -> RemoteHost:
    """Give a host that takes every stream."""

    def opened(_: object, protocol: Callable[[], Caller]) -> tuple[None, Caller]:
        return None, protocol()

    about = SimpleNamespace(
        host=SimpleNamespace(name="lab-box"),
        launched=SimpleNamespace(found=SimpleNamespace(hostname="lab")),
        conversation=SimpleNamespace(open=opened),
    )
    return cast(RemoteHost, about)


@pytest.mark.parametrize(
    "error", [ClusterError("the first worker has died"), OSError("no more files can be opened"), TimeoutError()]
)
async def test_workers_that_do_not_come_keep_nobody_from_following(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(following, "Follower", PlayedFollower)

    async def workers() -> None:
        raise error

    collecting = Collecting(a_host())
    collecting.start(workers)
    try:
        assert await asyncio.wait_for(collecting.deliver(), 20) == {"r1": "cancelled"}
    finally:
        await collecting.leave()
