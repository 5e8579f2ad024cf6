"""The line of those who want slots: who has what, who waits, and who is served next. No files, no clocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Has:
    """What a claim was given."""

    cores: tuple[int, ...]
    gpus: tuple[str, ...]


@dataclass
class Claim:
    """What one task wants, and what it has.

    Args:
        name: Its own.
        cores: How many it wants.
        gpus: How many.
        memory: Bytes.
        may_cores: The cores from which it may be served.
        may_gpus: The GPUs.
        may_memory: All memory that there is for tasks, in bytes.
        has: What it has; None while it waits.
    """

    name: str
    cores: int
    gpus: int
    memory: int
    may_cores: tuple[int, ...]
    may_gpus: tuple[str, ...]
    may_memory: int
    has: Has | None = None

    def as_record(self) -> list[Any]:
        """Give plain data."""
        has = None if self.has is None else [self.has.cores, self.has.gpus]
        return [self.name, self.cores, self.gpus, self.memory, self.may_cores, self.may_gpus, self.may_memory, has]

    @classmethod
    def from_record(cls, record: list[Any]) -> Claim:
        """Make it again."""
        name, cores, gpus, memory, may_cores, may_gpus, may_memory, has = record
        had = None if has is None else Has(tuple(has[0]), tuple(has[1]))
        return cls(name, cores, gpus, memory, tuple(may_cores), tuple(may_gpus), may_memory, had)


def distribute(line: list[Claim]) -> list[str]:
    """Give what is free to those who wait, in the order of the line.

    Who cannot be served yet gets what it wants of the free kept for it, so those behind it pass only with the rest.

    Returns:
        The names of those who were served now.
    """
    cores = {core for claim in line if claim.has for core in claim.has.cores}
    gpus = {gpu for claim in line if claim.has for gpu in claim.has.gpus}
    memory = sum(claim.memory for claim in line if claim.has)
    served = []
    for claim in line:
        if claim.has is not None:
            continue
        free_cores = [core for core in claim.may_cores if core not in cores][: claim.cores]
        free_gpus = [gpu for gpu in claim.may_gpus if gpu not in gpus][: claim.gpus]
        free_memory = claim.may_memory - memory
        if len(free_cores) == claim.cores and len(free_gpus) == claim.gpus and claim.memory <= free_memory:
            claim.has = Has(tuple(free_cores), tuple(free_gpus))
            served.append(claim.name)
        cores.update(free_cores)
        gpus.update(free_gpus)
        memory += claim.memory
    return served
