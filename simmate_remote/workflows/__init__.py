"""What to run, and running it: here, on all cores, or on a host. Knows no session.

What a function's own code may want is imported here; the rest is in :mod:`~simmate_remote.workflows.target` (which
function), :mod:`~simmate_remote.workflows.parameters` (with what) and :mod:`~simmate_remote.workflows.running`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from simmate_remote.workflows.progress import report_progress
from simmate_remote.workflows.task import gather, task
from simmate_remote.workflows.workflow import Workflow, workflow

if TYPE_CHECKING:
    from simmate_remote.workflows.shell import Resources, ShellTask

__all__ = ["Resources", "ShellTask", "Workflow", "gather", "report_progress", "task", "workflow"]


def __getattr__(name: str) -> Any:
    # On demand: it asks for pydantic, which a host that only runs functions need not have.
    if name in ("Resources", "ShellTask"):
        return getattr(importlib.import_module("simmate_remote.workflows.shell"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
