"""How many workers a host gets, and of what size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MODEST_LIMIT = 4


@dataclass(frozen=True)
class WorkerPlan:
    """What one worker is, and how many there shall be.

    Args:
        count: How many workers.
        threads: Threads of each: how many tasks it runs at the same time.
        memory: Bytes of each, above which it is restarted; None: its share of the machine's memory.
        environment: Variables that workers find.
        resources: Dask's abstract resources that each worker has, name to amount.
        said: A sentence about where these numbers come from, if nobody chose them.
        preloads: Modules that each worker runs as it starts, each with the name of what it is told, and that.
    """

    count: int
    threads: int
    memory: int | None = None
    environment: dict[str, str] = field(default_factory=dict)
    resources: dict[str, float] = field(default_factory=dict)
    said: str | None = None
    preloads: tuple[tuple[str, str, dict[str, Any]], ...] = ()


def plan_workers(wanted: dict[str, Any] | None, cores: int) -> WorkerPlan:
    """Fill in what the inventory leaves open, modestly: the machine may be somebody else's, too.

    Args:
        wanted: The inventory's ``workers``: ``count``, ``threads``, ``memory`` (bytes), ``environment``, ``resources``.
        cores: Cores that the host lets us use.
    """
    given = {name: value for name, value in (wanted or {}).items() if value is not None}
    modest = max(1, min(MODEST_LIMIT, cores // 2))
    said = None
    if "count" not in given:
        said = f"{modest} of {cores} cores are used, since the inventory says nothing of workers"
    return WorkerPlan(
        count=given.get("count", modest),
        threads=given.get("threads", 1),
        memory=given.get("memory"),
        environment=given.get("environment", {}),
        resources=given.get("resources", {}),
        said=said,
    )
