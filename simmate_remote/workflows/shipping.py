"""How own code reaches a cluster: once, to the scheduler and to every worker, also to those that come later."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import dask
from distributed import Client, SchedulerPlugin, WorkerPlugin

from simmate_remote.errors import ClusterError
from simmate_remote.workflows.bundle import Bundle
from simmate_remote.workflows.shipped import install


class CodeOnWorkers(WorkerPlugin):  # type: ignore[misc]
    """Unpacks a bundle in a worker's own folder. The scheduler gives it to new and restarted workers, too."""

    idempotent = True

    def __init__(self, digest: str, names: tuple[str, ...], archive: bytes) -> None:
        self.name = f"code-{digest}"
        self.digest = digest
        self.names = names
        self.archive = archive

    def setup(self, worker: Any) -> None:
        """Take the code in before the worker gets its first task."""
        install(self.digest, self.names, self.archive, Path(worker.local_directory))


class CodeOnScheduler(SchedulerPlugin):  # type: ignore[misc]
    """Unpacks a bundle for the scheduler, which unpickles the graphs that tasks submit."""

    idempotent = True

    def __init__(self, digest: str, names: tuple[str, ...], archive: bytes) -> None:
        self.name = f"code-{digest}"
        self.digest = digest
        self.names = names
        self.archive = archive

    async def start(self, scheduler: Any) -> None:
        """Take the code in."""
        install(self.digest, self.names, self.archive, _folder_of_process())


@cache
def _folder_of_process() -> Path:
    """Make a folder that goes when the process ends: a scheduler has none of its own."""
    folder = tempfile.mkdtemp(prefix="simmate-remote-code-", dir=dask.config.get("temporary-directory", None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def ship(client: Client, code: Bundle) -> None:
    """Bring a bundle to a cluster. It stays until the cluster ends; a second time it costs one message.

    Args:
        client: Of the cluster; its scheduler and workers must be able to import this package.
        code: What to bring.

    Raises:
        ClusterError: Scheduler or workers could not take it in.
    """
    content = (code.digest, code.names, code.archive)
    try:
        client.register_plugin(CodeOnScheduler(*content))
        client.register_plugin(CodeOnWorkers(*content))
    except Exception as error:
        raise ClusterError(
            f"the cluster could not take in the code of {', '.join(code.names)}: {type(error).__name__}: {error}",
            meanwhile="nothing was run",
        ) from error
