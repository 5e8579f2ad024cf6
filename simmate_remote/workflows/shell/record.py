"""The record of a task in its folder: what it is, how far it is, its attempts, and what was corrected."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from simmate_remote.version import __version__
from simmate_remote.workflows.shell.own_folder import own_folder, write_whole

State = Literal["setup", "running", "correcting", "workup", "finished", "failed", "interrupted"]
"""``setup``: the inputs may be incomplete; ``correcting``: the same, after an attempt; otherwise they are complete."""


@dataclass
class Record:
    """What ``task.json`` tells.

    Args:
        task: The class, as ``module:name``.
        parameters: The digest of each parameter, by its name.
        state: How far it is.
        began: When it was first begun, in seconds since the epoch.
        arriving: Names that setup brings into the folder while the state is ``setup``.
        inputs: Digest of each input file, as the attempt that is running or has ended last found it.
        seen: Digests of the states of all inputs that attempts began with, in their order.
        attempts: Each start of the program: when, where, which command, how it ended.
        corrections: Each correction: after which attempt, by which handler, what it saw and did, a diff of the inputs.
        error: What the task failed with, as a person was told.
        version: The version of this package that wrote it.
    """

    task: str
    parameters: dict[str, str]
    state: State = "setup"
    began: float = field(default_factory=time.time)
    arriving: list[str] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    corrections: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    version: str = __version__

    def save(self, folder: Path) -> None:
        """Write it into a task's folder."""
        write_whole(record_path(folder), vars(self), last=self.state == "finished")


def record_path(folder: Path) -> Path:
    """Give the file."""
    return own_folder(folder) / "task.json"


def read_record(folder: Path) -> Record | None:
    """Read the record of a task's folder; None if there is none that can be read."""
    try:
        return Record(**json.loads(record_path(folder).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        # Missing, cut by a loss of power, or of a version that told something else.
        return None


def new_attempt(number: int, command: list[str], pid: int, since: float) -> dict[str, Any]:
    """Begin the entry of an attempt."""
    return {
        "number": number,
        "command": command,
        "host": socket.gethostname(),
        "pid": pid,
        "worker": os.getpid(),
        "began": since,
    }
