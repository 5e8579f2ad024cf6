"""How a task is, as the progress of the run that it belongs to."""

from __future__ import annotations

from simmate_remote.workflows.progress import report_progress
from simmate_remote.workflows.shell.outcome import Stage


def report_stage(stage: Stage) -> None:
    """Report a task's stage, attempt, corrections and numbers as the run's progress."""
    report_progress(0, 0, in_words(stage))


def in_words(stage: Stage) -> str:
    """Give a stage in one line, such as ``running, attempt 2, 1 correction, energy -15.84``."""
    parts: list[str] = [stage.name]
    if stage.attempt > 1:
        parts.append(f"attempt {stage.attempt}")
    if stage.corrections:
        parts.append(f"{stage.corrections} correction{'s' if stage.corrections > 1 else ''}")
    parts += [f"{name} {value:.10g}" for name, value in stage.values.items()]
    return ", ".join(parts)
