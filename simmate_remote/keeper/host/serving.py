"""The beginning of the keeper's process: what takes longest is started first, and only then the keeper is imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from simmate_remote.keeper.host.log_folder import log_file, make_log_folder
from simmate_remote.keeper.host.spawning import spawn


def run(folder: Path, runtime: Path, order: dict[str, Any], ready: int, guardian: int) -> None:
    """Run a keeper to its end; the guardian's child calls this.

    Args:
        folder: Our folder.
        runtime: The folder for its sockets.
        order: What the login told: ``lease``, ``process``, ``package``, ``address``, ``port``, ``warnings``.
        ready: Where it says that it is ready, or why it will not be.
        guardian: A pipe that ends when the guardian does.
    """
    try:
        logs = make_log_folder(folder)
        process = order["process"]
        first = spawn(**process, log=log_file(logs, process["name"]))
    except (OSError, RuntimeError) as error:
        os.write(ready, f"{type(error).__name__}: {error}".encode())
        return
    # asyncio imports it where it can; the keeper speaks no TLS, and would hold 4 MB for nothing.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    from simmate_remote.keeper.host.life import live

    live(folder, runtime, order, logs, first, ready, guardian)
