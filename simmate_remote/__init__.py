"""A distant computer that feels near: Dask, its dashboard and workflows over one SSH login."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from simmate_remote.version import __version__

if TYPE_CHECKING:
    from simmate_remote.inventory import Host, load_host
    from simmate_remote.link import Prompt
    from simmate_remote.session.connection import Connection, connect
    from simmate_remote.session.remote_cluster import RemoteCluster
    from simmate_remote.workflows.progress import report_progress
    from simmate_remote.workflows.task import gather, task
    from simmate_remote.workflows.workflow import Workflow, workflow

__all__ = [
    "Connection",
    "Host",
    "Prompt",
    "RemoteCluster",
    "Workflow",
    "__version__",
    "connect",
    "gather",
    "load_host",
    "report_progress",
    "task",
    "workflow",
]

_PLACES = {
    "Connection": "simmate_remote.session.connection",
    "Host": "simmate_remote.inventory",
    "Prompt": "simmate_remote.link",
    "RemoteCluster": "simmate_remote.session.remote_cluster",
    "Workflow": "simmate_remote.workflows",
    "connect": "simmate_remote.session.connection",
    "gather": "simmate_remote.workflows",
    "load_host": "simmate_remote.inventory",
    "report_progress": "simmate_remote.workflows",
    "task": "simmate_remote.workflows",
    "workflow": "simmate_remote.workflows",
}


def __getattr__(name: str) -> Any:
    # On demand: the keeper on the host imports this package too, and has nothing but the standard library.
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
