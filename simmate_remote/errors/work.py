"""What runs: workflows, and tasks with their programs."""

from __future__ import annotations

from typing import Any

from simmate_remote.errors.base import SimmateRemoteError


class WorkflowError(SimmateRemoteError, ValueError):
    """What to run, or with which parameters, cannot be understood."""


class CodeDiffersError(WorkflowError):
    """An installed package that holds what is to run is another one on the host."""


class CodeDiffersWarning(UserWarning):
    """An installed package that the code to run imports is another one on the host: results may differ."""


class RunCancelledError(SimmateRemoteError, RuntimeError):
    """The run was cancelled before it had a result."""


class TaskError(SimmateRemoteError, RuntimeError):
    """A task did not come to its end.

    Args:
        folder: The task's folder; empty: none was made.
        attempts: How often its program was started.
        corrections: What handlers had changed until then, as in the folder's record.
    """

    further = ("folder", "attempts", "corrections")

    def __init__(
        self,
        what: str,
        *,
        folder: str = "",
        attempts: int = 0,
        corrections: tuple[dict[str, Any], ...] = (),
        **common: Any,
    ) -> None:
        super().__init__(what, **common)
        self.folder = folder
        self.attempts = attempts
        self.corrections = corrections


class TaskDeclarationError(TaskError, ValueError):
    """What a task's class declares cannot be, whatever its parameters are."""


class CommandNotFoundError(TaskError, FileNotFoundError):
    """The command does not exist, or the system cannot execute it."""


class InputMissingError(TaskError, FileNotFoundError):
    """Files that the task needs are not in its folder."""


class FolderNotEmptyError(TaskError, FileExistsError):
    """The folder has content that is not this task's."""


class FolderBusyError(TaskError, BlockingIOError):
    """Another attempt works in the folder."""


class FolderFullError(TaskError, OSError):
    """There is no space in the folder, or the quota is used up."""


class ProgramFailedError(TaskError):
    """The program ended with an exit code that means failure, or by a signal, and no handler knew why."""


class TimeLimitError(TaskError, TimeoutError):
    """The program was ended since it took longer than it may."""


class TaskCancelledError(TaskError):
    """The program was ended since somebody asked for it."""


class HandlerError(TaskError):
    """A handler or a validator raised an exception, which is the cause."""


class UncorrectableError(TaskError):
    """A handler knows the fault, and no way to mend it."""


class CorrectionsExhaustedError(UncorrectableError):
    """The fault came again after each correction that was allowed."""


class CorrectionsUndoneError(UncorrectableError):
    """Corrections led back to inputs that had failed before."""


class ValidationFailedError(TaskError):
    """A validator found the results wrong."""


class SupervisorError(TaskError):
    """The process that watches over the program was killed, or does not answer."""


class RunError(SimmateRemoteError, RuntimeError):
    """What is known of a run, or its folder, does not serve.

    Args:
        run: The run's id; empty: it has none yet.
        folder: Its folder on the host; empty: unknown.
    """

    further = ("run", "folder")

    def __init__(self, what: str, *, run: str = "", folder: str = "", **common: Any) -> None:
        super().__init__(what, **common)
        self.run = run
        self.folder = folder


class RunNotFoundError(RunError, LookupError):
    """There is no such run, or somebody has removed its folder."""


class RunDamagedError(RunError, ValueError):
    """A file of the run's folder cannot be read: it is cut short, changed, or of another version."""


class RunInterruptedError(RunError):
    """The run was given up, since each of its attempts was ended from outside."""


class RunsUnavailableError(RunError, ConnectionError):
    """Runs on this host cannot be started or asked for at the moment."""
