"""How this process's memory for what it reads is had from the kernel: once, and not anew for every read."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's mallopt(3)."""

LARGEST = 1024 * 1024
"""Bytes from which on a block is the kernel's own affair; asyncio asks for 256 kB at each read."""

KEPT = 64 * 1024 * 1024
"""Bytes at the end of the heap that are kept when they are free: the windows of some streams."""


def keep_memory_of_reads() -> None:
    """Let blocks of up to 1 MiB come from the heap, where the C library lets us choose (glibc does).

    asyncio reads into a new block of 256 kB even for one byte. From 128 kB on, glibc maps each block and unmaps it when
    it is free, which takes longer than all the rest that one byte needs: docs/performance.md.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, KEPT)
