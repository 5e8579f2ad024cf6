"""Dask's own timeouts, raised: while a link is down its connections are only slow, and must not give up.

They have to be raised on all three sides, in scheduler, workers and the user's process, before its sockets exist.
"""

from __future__ import annotations

from typing import Any

import dask.config

PATIENT: dict[str, Any] = {
    # TCP_USER_TIMEOUT: also fires on a window that stays full, which a stalled stream's does.
    "distributed.comm.timeouts.tcp": "1 day",
    "distributed.comm.timeouts.connect": "60 s",
}
HOST_ONLY: dict[str, Any] = {
    **PATIENT,
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.deploy.lost-worker-timeout": "60 s",
}


def raise_timeouts() -> None:
    """Raise them in this process."""
    dask.config.set(PATIENT)


def host_configuration() -> dict[str, Any]:
    """Give the configuration for scheduler and workers, in Dask's nested form."""
    nested: dict[str, Any] = {}
    for dotted, value in HOST_ONLY.items():
        *sections, last = dotted.split(".")
        level = nested
        for section in sections:
            level = level.setdefault(section, {})
        level[last] = value
    return nested
