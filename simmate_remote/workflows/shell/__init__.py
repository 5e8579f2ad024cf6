"""ShellTask: programs that are set up, run under supervision, mended when they fail, and read.

:mod:`.task` is what a user's class inherits; :mod:`.performing` is the way of one performance through its stages.
"""

from __future__ import annotations

from simmate_remote.workflows.shell.outcome import Correction, Stage, TaskOutcome
from simmate_remote.workflows.shell.resources import Resources
from simmate_remote.workflows.shell.task import ShellTask

__all__ = ["Correction", "Resources", "ShellTask", "Stage", "TaskOutcome"]
