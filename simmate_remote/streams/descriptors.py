"""How many connections this process may have."""

from __future__ import annotations

import contextlib
import resource

WANTED = 8192
"""File descriptors: one for each of a conversation's 4,096 streams, and as many again for all else."""


def allow_many_connections() -> None:
    """Let this process have as many files open as it needs, where its user's limit allows that.

    The usual limit is 1,024, for the sake of programs that call select(2); asyncio does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
