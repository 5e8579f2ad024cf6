"""Dask's timeouts in this process."""

from __future__ import annotations

import dask.config

from simmate_remote.cluster.configuration import PATIENT


def raise_timeouts() -> None:
    """Let Dask's connections of this process be patient, as those on the host are."""
    dask.config.set(PATIENT)
