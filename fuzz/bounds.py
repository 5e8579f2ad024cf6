"""What no input may exceed: processor time for each byte that arrived, and memory that stays."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import types
from typing import Any

SECONDS_AT_ALL = 0.5
SECONDS_PER_BYTE = 15e-6
"""Some ten times what the code needs for its smallest frames while the fuzzer watches every branch."""

_OUTSIDE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.FrameType, types.CodeType,
            asyncio.AbstractEventLoop)  # fmt: skip


class Finding(AssertionError):  # noqa: N818 - it is what the fuzzer looks for, not a mishap
    """An input did what no input may do."""


class Budget:
    """Processor time, as much as the bytes that were fed allow."""

    def __init__(self) -> None:
        self.fed = 0
        self._began = time.thread_time()

    def check(self) -> None:
        """Fail if more time was used than the bytes allow.

        Raises:
            Finding: It was; something is quadratic.
        """
        used, allowed = time.thread_time() - self._began, SECONDS_AT_ALL + SECONDS_PER_BYTE * self.fed
        if used > allowed:
            raise Finding(f"{self.fed} bytes took {used:.2f} s of processor time, and {allowed:.2f} s is allowed")


def kept_bytes(*roots: Any) -> int:
    """Count the bytes of everything that objects hold on to, directly or not; a view counts as what it is a view of."""
    total = 0
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, _OUTSIDE):
            continue
        seen.add(id(each))
        total += sys.getsizeof(each)
        waiting.extend([each.obj] if isinstance(each, memoryview) else gc.get_referents(each))
    return total


def check_kept(limit: int, *roots: Any) -> None:
    """Fail if objects hold on to more than a number of bytes.

    Raises:
        Finding: They do.
    """
    if (kept := kept_bytes(*roots)) > limit:
        raise Finding(f"{kept} bytes are kept, and {limit} is the limit")
