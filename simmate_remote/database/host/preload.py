"""Dask's preload of each worker: tells it, and the programs that it starts, where the database is.

It connects to nothing: a worker that is restarted while the other side is away comes up all the same, and what needs
the database waits for it. It imports nothing that the Python of a host may be without.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import dask.config

from simmate_remote.database.lent import set_variables
from simmate_remote.errors import SimmateRemoteError

logger = logging.getLogger(__name__)

SETTING = "simmate-remote.database"
"""Where Dask's configuration says the folder and the patience."""


def dask_setup(_: Any) -> None:
    """Prepare a worker."""
    said = dask.config.get(SETTING)
    try:
        set_variables(Path(said["folder"]), said["patience"])
    except SimmateRemoteError as error:
        logger.info("this worker has no database: %s", error.what)
