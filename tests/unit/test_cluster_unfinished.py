"""What the scheduler tells of unfinished work: the change, soon; never a message for each task."""

from __future__ import annotations

import asyncio

import pytest
from distributed import Client, Event, LocalCluster, fire_and_forget

from simmate_remote.cluster.host import unfinished
from simmate_remote.cluster.host.unfinished import TellUnfinished


class Told:
    """Takes what the plugin tells, or does not listen."""

    def __init__(self) -> None:
        self.messages: list[dict[str, int]] = []
        self.listens = True
        self._news = asyncio.Event()

    def __call__(self, **counts: int) -> bool:
        if self.listens:
            self.messages.append(counts)
            self._news.set()
        return self.listens

    async def until(self, **counts: int) -> None:
        async with asyncio.timeout(20):
            while not self.messages or any(self.messages[-1][name] != count for name, count in counts.items()):
                self._news.clear()
                await self._news.wait()


async def test_thousands_of_tasks_are_a_few_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "PACE", 0.05)
    told = Told()
    plugin = TellUnfinished(told)
    for key in range(10_000):
        plugin.transition(key, "released", "waiting", stimulus_id="s")
        plugin.transition(key, "waiting", "processing", worker="w")
        if key % 1000 == 0:
            await asyncio.sleep(0.001)
    assert told.messages[0] == {"unfinished": 1, "finished": 0, "erred": 0}
    await told.until(unfinished=10_000)
    for key in range(10_000):
        plugin.transition(key, "processing", "erred" if key % 10 == 0 else "memory")
        plugin.transition(key, "memory", "released")
    await told.until(unfinished=0, finished=9000, erred=1000)
    assert len(told.messages) < 10


async def test_who_did_not_listen_is_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "PACE", 0.01)
    told = Told()
    told.listens = False
    TellUnfinished(told).transition("x", "released", "no-worker")
    assert told.messages == []
    told.listens = True
    await told.until(unfinished=1)


async def test_a_scheduler_counts_as_its_tasks_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "PACE", 0.05)
    told = Told()
    async with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, asynchronous=True, dashboard_address=None
        ) as here,
        Client(here, asynchronous=True, set_as_default=False) as client,
    ):
        here.scheduler.add_plugin(TellUnfinished(told))
        gate = Event("gate", client=client)
        futures = client.map(wait_for, range(20), gate="gate")
        await told.until(unfinished=20, finished=0)
        scattered = await client.scatter([1, 2, 3])
        await gate.set()
        await client.gather(futures)
        await told.until(unfinished=0, finished=20, erred=0)
        failing = client.submit(divide, 1, 0)
        with pytest.raises(ZeroDivisionError):
            await failing
        await told.until(unfinished=0, finished=20, erred=1)
        lost = client.submit(abs, 1, resources={"none": 1})
        await told.until(unfinished=1)
        del lost
        await told.until(unfinished=0, finished=20, erred=1)
        await gate.clear()
        fire_and_forget(client.submit(wait_for, 99, gate="gate"))
        await told.until(unfinished=1)
        await gate.set()
        await told.until(unfinished=0, finished=21)
        del futures, failing, scattered


def wait_for(number: int, gate: str) -> int:
    from distributed import Event, get_client

    Event(gate, client=get_client()).wait(timeout=20)
    return number


def divide(a: int, b: int) -> float:
    return a / b
