"""What this host has for tasks: the cores that we may use, its GPUs, its memory."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Capacity:
    """What there is.

    Args:
        cores: The numbers of the cores, as the system counts them.
        gpus: The names of the GPUs, as ``CUDA_VISIBLE_DEVICES`` has them.
        memory: Bytes.
    """

    cores: tuple[int, ...]
    gpus: tuple[str, ...] = ()
    memory: int = 0


def capacity() -> Capacity:
    """Look what this process may use: a queue, a container or ``taskset`` may leave it less than the machine has."""
    return Capacity(_cores(), _gpus(), _memory())


def _cores() -> tuple[int, ...]:
    if not hasattr(os, "sched_getaffinity"):  # macOS
        return tuple(range(os.cpu_count() or 1))
    cores = sorted(os.sched_getaffinity(0))
    for limit in _limits("cpu.max"):
        quota, _, period = limit.partition(" ")
        if quota.isdigit() and period.isdigit():
            cores = cores[: max(1, math.ceil(int(quota) / int(period)))]
    return tuple(cores)


def _gpus() -> tuple[str, ...]:
    for variable in _GPU_VARIABLES:
        if variable in os.environ:
            return tuple(name for name in os.environ[variable].split(",") if name and name != "-1")
    try:
        devices = os.listdir("/dev")
    except OSError:
        return ()
    numbers = sorted(int(found[1]) for name in devices if (found := re.fullmatch(r"nvidia(\d+)", name)))
    return tuple(map(str, numbers))


def _memory() -> int:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([whole, *(int(limit) for limit in _limits("memory.max") if limit.isdigit())])


def _limits(name: str) -> Iterator[str]:
    """Give what the control groups of this process say, from the innermost outwards."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, _, path = line.split(":", 2)
        if number == "0":
            place = _CGROUPS / path.lstrip("/")
            for folder in [place, *place.parents]:
                if folder.is_relative_to(_CGROUPS):
                    try:
                        yield (folder / name).read_text().strip()
                    except OSError:
                        continue  # the outermost has no limits
