"""How a task is, told to whoever watches the run that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from simmate_remote.workflows.current import Running
from simmate_remote.workflows.progress import Reporter, current_reporter
from simmate_remote.workflows.shell.outcome import Stage, Tell


@contextmanager
def reported(name: str, run: Running) -> Iterator[Tell | None]:
    """Give what tells the stages of a program to whoever watches a run, for as long as it is performed.

    A call of a ``@task`` has a line of its own there, which says what its program does. Where the workflow itself
    performs programs, each has a line.

    Args:
        name: The class of the task.
        run: What performs it.
    """
    call = current_reporter()
    if call is None:
        yield None
    elif call.is_part:
        yield _Stages(call)
    else:
        number = run.count(name)
        reporter = Reporter(call.run, f"{call.run}/{name}-{number}", f"{name} {number}", name, run.execution)
        with reporter.from_beginning_to_end():
            yield _Stages(reporter)


class _Stages:
    """Tells stages; a new attempt and a correction always, anything else now and then."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._mended = (0, 0)
        self._numbers: dict[str, float] = {}

    def __call__(self, stage: Stage) -> None:
        mended = (stage.attempt, stage.corrections)
        # What an attempt has reached is true until the next one has something to tell.
        self._numbers = dict(stage.values) or (self._numbers if stage.attempt == self._mended[0] else {})
        self._reporter.report(
            at_once=mended != self._mended or bool(stage.corrected),
            once={"corrected": [dict(one) for one in stage.corrected]} if stage.corrected else {},
            stage=stage.name,
            attempt=stage.attempt,
            corrections=stage.corrections,
            values=self._numbers,
            folder=str(stage.folder),
        )
        self._mended = mended
