"""What to run, and running it: here, on all cores, or on a host. Knows no session.

What a function's own code may want is imported here; the rest is in :mod:`~simmate_remote.workflows.target` (which
function), :mod:`~simmate_remote.workflows.parameters` (with what) and :mod:`~simmate_remote.workflows.running`.
"""

from __future__ import annotations

from simmate_remote.workflows.progress import report_progress
from simmate_remote.workflows.shell import Resources, ShellTask
from simmate_remote.workflows.task import gather, task
from simmate_remote.workflows.workflow import Workflow, workflow

__all__ = ["Resources", "ShellTask", "Workflow", "gather", "report_progress", "task", "workflow"]
