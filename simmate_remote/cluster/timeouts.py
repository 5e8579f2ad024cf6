"""Dask's timeouts in this process."""

from __future__ import annotations

import dask.config

from simmate_remote.cluster.configuration import PATIENT

LONGEST_OUTAGE = 24 * 3600.0
"""Seconds that a call may wait for its connection on this side: during an outage the connection is not made, only late.

Not raised for the whole process, since it may have other clusters, whose calls should not wait for a day; and not on
the host, where nothing is ever late.
"""


def raise_timeouts() -> None:
    """Let Dask's connections of this process be patient, as those on the host are."""
    dask.config.set(PATIENT)
