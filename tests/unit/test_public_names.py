"""The public Python names are a promise, too: they change here and in the changelog, or not at all."""

from __future__ import annotations

import importlib

import pytest

PUBLIC = {
    "simmate_remote": [
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
    ],
    "simmate_remote.database": ["engine", "session"],
    "simmate_remote.testing": ["EmbeddedHost"],
    "simmate_remote.workflows": ["Resources", "ShellTask", "Workflow", "gather", "report_progress", "task", "workflow"],
    "simmate_remote.workflows.shell": ["Correction", "Resources", "ShellTask", "Stage", "TaskOutcome"],
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names(module: str) -> None:
    found = importlib.import_module(module)
    assert sorted(found.__all__) == PUBLIC[module]
    for name in found.__all__:
        assert getattr(found, name) is not None
