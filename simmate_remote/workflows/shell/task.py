"""ShellTask: a program with what it needs before, meanwhile and afterwards."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Literal

from simmate_remote.errors import TaskDeclarationError
from simmate_remote.workflows.current import current
from simmate_remote.workflows.parameters import check_parameters
from simmate_remote.workflows.shell.declaration import declaration_of
from simmate_remote.workflows.shell.outcome import Data, TaskOutcome, Tell
from simmate_remote.workflows.shell.performing import Performance
from simmate_remote.workflows.shell.reporting import reported
from simmate_remote.workflows.shell.resources import Resources
from simmate_remote.workflows.shell.signature import target_of_setup
from simmate_remote.workflows.signatures import with_defaults


class ShellTask(Generic[Data]):
    """A program that is set up, run under supervision, mended when it fails, and read.

    A subclass declares what the attributes below are, and defines ``setup`` and ``workup``; both are optional, and so
    are ``restart`` and ``progress``. An object of it performs the task any number of times, in any number of threads.

    Args:
        declared: Attributes that shall be different for this object, by name.

    Attributes:
        command: The program and its arguments, as a list of words, or as a text that is split like a shell's line. No
            shell is between. ``{cores}``, ``{ranks}``, ``{threads}``, ``{gpus}`` (how many) and ``{memory}`` (bytes)
            are filled in from what the task got.
        resources: What it wants of its host.
        environment: Variables that the program has besides those of its parent.
        stdin: A file in the folder that the program reads.
        stdout: The file for what it prints.
        stderr: The file for its error messages; may be the same one.
        files: Paths that must be in the folder before the program starts; patterns are allowed.
        time_limit: How long one attempt may run: seconds, or a text such as ``"12 h"``; None: any time.
        grace: Seconds between SIGTERM and SIGKILL when the program is to end.
        handlers: Objects with custodian's protocol that find and mend known failures; see ``docs/tasks.md``.
        validators: Objects that find wrong results which nobody can mend.
        max_corrections: How often the program may be started again after corrections.
        monitor_every: Seconds between two looks of a monitor, once the program has run for a while.
        exit_codes: Those that mean success.
        keep: Patterns of files that are left as they are at the end, whatever the next two say.
        compress: Patterns of files to compress at the end.
        remove: Patterns of files to remove at the end.
        existing: What becomes of a folder that is not empty and not of this very task: ``"refuse"``, or
            ``"continue"`` with what is there. Nothing that is there is ever overwritten.
    """

    command: str | Sequence[str] = ""
    resources: Resources = Resources()
    environment: Mapping[str, str] = MappingProxyType({})
    stdin: str = ""
    stdout: str = "stdout.txt"
    stderr: str = "stderr.txt"
    files: Sequence[str] = ()
    time_limit: float | str | None = None
    grace: float = 5.0
    handlers: Sequence[Any] = ()
    validators: Sequence[Any] = ()
    max_corrections: int = 5
    monitor_every: float = 10.0
    exit_codes: Sequence[int] = (0,)
    keep: Sequence[str] = ()
    compress: Sequence[str] = ()
    remove: Sequence[str] = ()
    existing: Literal["refuse", "continue"] = "refuse"

    def __init__(self, **declared: Any) -> None:
        known = ShellTask.__annotations__
        for name, value in declared.items():
            if name not in known:
                raise TaskDeclarationError(f"{type(self).__name__} declares nothing named {name!r}")
            setattr(self, name, value)

    def setup(self, folder: Path, *args: Any, **parameters: Any) -> None:
        """Write the inputs.

        Its parameters are the task's, and their annotations say what they must be.

        Args:
            folder: An empty folder; what is in it afterwards appears in the task's folder all at once. So inputs name
                each other by relative paths.
        """

    def workup(self, folder: Path) -> Data:
        """Read the results.

        Args:
            folder: The task's folder, in which the program has succeeded.
        """
        return None  # type: ignore[return-value]

    def restart(self, folder: Path, *args: Any, **parameters: Any) -> bool:
        """Prepare to go on from the program's own checkpoint, after an attempt that was interrupted.

        It is called with those parameters of ``setup`` that it names.

        Args:
            folder: The task's folder, as the interruption has left it.

        Returns:
            Whether the program can go on; if not, it starts again with the inputs that the attempt began with.
        """
        return False

    def progress(self, folder: Path) -> Mapping[str, float] | None:
        """Tell how far the running program is, in a few numbers, such as a step and an energy.

        It is called now and then while the program runs, and once when it has ended, and should read little.

        Args:
            folder: The task's folder.
        """
        return None

    def run(self, folder: Path | str | None = None, **parameters: Any) -> Data:
        """Perform the task here and now.

        Args:
            folder: Where; it is made. Default: a new one in the current folder.
            parameters: Those of ``setup``.

        Returns:
            What ``workup`` returns.

        Raises:
            WorkflowError: The parameters do not fit.
            UnsatisfiableError: This host can never give the resources.
            TaskError: See its subclasses.
        """
        return self.perform(parameters, folder).data

    def perform(
        self,
        parameters: Mapping[str, Any] | None = None,
        folder: Path | str | None = None,
        *,
        tell: Tell | None = None,
        cancelled: threading.Event | None = None,
    ) -> TaskOutcome[Data]:
        """Perform the task here and now, and say how it went.

        Args:
            parameters: Those of ``setup``, by name.
            folder: Where; it is made. Default: a new one in the current folder.
            tell: Is told each change of stage. Default: within a run of a workflow, whoever watches the run.
            cancelled: Ends the task when it is set. Default: the end of the run that it belongs to, if it does.

        Raises:
            WorkflowError: The parameters do not fit.
            UnsatisfiableError: This host can never give the resources.
            TaskError: See its subclasses.
        """
        declaration = declaration_of(self)
        own = type(self).setup is not ShellTask.setup
        target = target_of_setup(self.setup if own else _nothing_to_set_up, declaration.name)
        values = with_defaults(target, check_parameters(target, parameters or {}))
        if (run := current()) is None:
            return Performance(self, declaration, values, folder, tell, cancelled).perform()
        with reported(declaration.name, run) as watched:
            return Performance(self, declaration, values, folder, tell or watched, cancelled or run.cancelled).perform()


def _nothing_to_set_up(folder: Path) -> None:
    """Take no parameters."""
