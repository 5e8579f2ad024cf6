"""One performance of a task: its folder, its stages, its attempts."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from simmate_remote.errors import (
    FolderFullError,
    InputMissingError,
    ProgramFailedError,
    TaskCancelledError,
    TaskError,
    ValidationFailedError,
)
from simmate_remote.runs.host.lock import FolderLock
from simmate_remote.workflows.shell.attempt import Watch, Watched
from simmate_remote.workflows.shell.command import fill_command
from simmate_remote.workflows.shell.contents import read_contents, state_of
from simmate_remote.workflows.shell.correcting import Corrector, remembered
from simmate_remote.workflows.shell.declaration import Declaration
from simmate_remote.workflows.shell.entering import Entry, enter, make_folder, refuse_foreign
from simmate_remote.workflows.shell.handlers import Handler, make_handlers
from simmate_remote.workflows.shell.judging import judge
from simmate_remote.workflows.shell.keeping import (
    attempt_folder,
    forget_inputs,
    restore_inputs,
    save_attempt,
    save_inputs,
)
from simmate_remote.workflows.shell.outcome import Correction, Data, Stage, StageName, TaskOutcome, Tell
from simmate_remote.workflows.shell.own_folder import own_folder
from simmate_remote.workflows.shell.place import Place
from simmate_remote.workflows.shell.programs import FULL, MARK, Order, Program, find_command
from simmate_remote.workflows.shell.record import Record, new_attempt, read_record
from simmate_remote.workflows.shell.signature import digests_of, parameters_for
from simmate_remote.workflows.shell.slots import Slots, Taken
from simmate_remote.workflows.shell.staging import stage, unstage
from simmate_remote.workflows.shell.tidying import tidy

if TYPE_CHECKING:
    from simmate_remote.workflows.shell.task import ShellTask


class Performance:
    """Performs a task once.

    Args:
        task: It.
        declaration: What it declares.
        values: Its parameters, checked.
        folder: Where; None: a new folder.
        tell: Is told each change of stage.
        cancelled: Ends it when it is set.
    """

    def __init__(
        self,
        task: ShellTask[Data],
        declaration: Declaration,
        values: Mapping[str, Any],
        folder: Path | str | None,
        tell: Tell | None,
        cancelled: threading.Event | None,
    ) -> None:
        self._task = task
        self._declared = declaration
        self._values = values
        self._wanted = folder
        self._tell = tell
        self._cancelled = cancelled
        self._slots = Slots()
        self._in_program = 0.0
        self._restarted = False
        self._folder = Path()
        self._record = Record(declaration.path, {})
        self._said = 0

    def perform(self) -> TaskOutcome[Any]:
        """Perform it."""
        began = time.monotonic()
        self._slots.check(self._declared.resources)
        find_command(self._declared.command[0], {**os.environ, **self._declared.environment})
        digests = digests_of(self._values)
        try:
            self._folder = make_folder(self._wanted, self._declared.name, partial(self._fits, digests))
            refuse_foreign(self._folder, self._declared)
            own_folder(self._folder).mkdir(mode=0o700, exist_ok=True)
            with FolderLock(own_folder(self._folder) / "lock", self._folder, MARK) as lock:
                found = read_record(self._folder)
                entry = enter(self._folder, found, self._declared, digests)
                self._record = found or Record(self._declared.path, digests)
                self._said = len(self._record.corrections)
                try:
                    data = self._perform(entry, digests, lock)
                except BaseException as error:
                    self._note_failure(error)
                    raise
        except OSError as error:
            if error.errno in FULL and not isinstance(error, TaskError):
                raise self._fail(FolderFullError, f"{self._folder} cannot be written: {error.strerror}") from error
            raise
        return TaskOutcome(
            data=data,
            folder=self._folder,
            attempts=len(self._record.attempts),
            corrections=tuple(_correction(one) for one in self._record.corrections),
            seconds=time.monotonic() - began,
            in_program=self._in_program,
            ran=entry != "finished",
        )

    def _fits(self, digests: dict[str, str], folder: Path) -> bool:
        record = read_record(folder)
        fits = record is not None and record.task == self._declared.path and record.parameters == digests
        return fits or not folder.exists()

    def _perform(self, entry: Entry, digests: dict[str, str], lock: FolderLock) -> Any:
        if entry == "finished":
            return self._workup()
        with Place(self._folder, f"handlers of {self._declared.name}") as place:
            handlers = make_handlers(self._declared.handlers, self._folder, self._declared.name, correcting=True)
            validators = make_handlers(self._declared.validators, self._folder, self._declared.name, correcting=False)
            if entry != "continued" or self._record.state != "workup":
                rounds = self._prepare(entry, digests)
                corrector = Corrector(
                    self._folder, self._record, place, handlers, self._declared.max_corrections, rounds, self._fail
                )
                if rounds:
                    remembered(handlers, self._record)
                while not self._attempt(corrector, validators, lock):
                    pass
            data = self._workup()
        tidy(self._folder, keep=self._declared.keep, compress=self._declared.compress, remove=self._declared.remove)
        forget_inputs(self._folder)
        self._record.state, self._record.error = "finished", ""
        self._record.save(self._folder)
        return data

    def _prepare(self, entry: Entry, digests: dict[str, str]) -> int:
        """Bring the inputs into the folder, or prepare a restart; give how many corrections count already."""
        record = self._record
        if entry == "new" or (entry == "continued" and record.state == "setup"):
            unstage(self._folder, record)
            self._setup()
            return 0
        self._keep_last()
        if entry == "changed":
            record.parameters = digests
            self._setup()
            if record.attempts:
                record.inputs = save_inputs(self._folder, record.inputs)
                self._restarted = self._restart()
            return 0
        again = record.state == "failed"
        if record.state != "correcting" and record.attempts:
            self._restarted = self._restart()
        if not self._restarted:
            self._begin_again()
        return 0 if again else len({one["attempt"] for one in record.corrections})

    def _setup(self) -> None:
        self._say("setup")
        self._record.state = "setup"

        def write(place: Path) -> None:
            self._task.setup(place, **self._values)

        names = stage(self._folder, self._record, write, ours=self._record.inputs)
        self._check_files()
        self._record.inputs = dict.fromkeys([*names, *self._declared_files()], "")
        self._record.seen = (
            [state_of(read_contents(self._folder), self._record.inputs)] if self._record.inputs else [""]
        )

    def _restart(self) -> bool:
        method = self._task.restart
        can = bool(method(self._folder, **parameters_for(method, self._values)))
        self._record.attempts[-1]["restart"] = can
        return can

    def _begin_again(self) -> None:
        """Bring back the inputs of the last attempt, or set up afresh."""
        if not restore_inputs(self._folder, self._record.inputs):
            self._setup()

    def _keep_last(self) -> None:
        number = len(self._record.attempts)
        if number and not attempt_folder(self._folder, number).exists():
            self._record.attempts[-1]["not_kept"] = save_attempt(self._folder, number)

    def _attempt(self, corrector: Corrector, validators: list[Handler], lock: FolderLock) -> bool:
        """Run the program once; say whether the task has succeeded, and is not to be tried again."""
        number = len(self._record.attempts) + 1
        self._check_files()
        # What a restart has made of them is only a try: if it fails, those of the attempt before are needed.
        if self._record.inputs and not self._restarted:
            self._record.inputs = save_inputs(self._folder, self._record.inputs)
            # From here on they are complete, whatever happens.
            self._record.state = "running"
            self._record.save(self._folder)
        self._say("waiting")
        with self._slots.take(self._declared.resources, self._cancelled) as taken:
            watched = self._run(number, taken, corrector, lock)
        self._note_end(watched)
        if watched.cancelled:
            raise self._fail(TaskCancelledError, f"{self._declared.name} was cancelled while its program ran")
        self._say("correcting", self._numbers())
        restarted, self._restarted = self._restarted, False
        if corrector.round(number, watched.monitor):
            return False
        problem = judge(self._folder, self._declared, watched, self._record.attempts[-1], corrector.without_way)
        if problem is not None:
            kind, what, further = problem
            if restarted and kind is ProgramFailedError:
                # A checkpoint that was being written when the program was killed is no good one.
                self._record.attempts[-1]["restart_failed"] = what
                self._keep_last()
                self._begin_again()
                return False
            raise self._fail(kind, what, **further)
        for validator in validators:
            if corrector.call(validator, validator.check, "looked"):
                raise self._fail(ValidationFailedError, f"{validator.name} finds the results wrong")
        return True

    def _run(self, number: int, taken: Taken, corrector: Corrector, lock: FolderLock) -> Watched:
        command = fill_command(self._declared.command, taken.allotment.words())
        environment = {**os.environ, **taken.allotment.environment(), **self._declared.environment, MARK: lock.mark}
        order = Order(
            command,
            self._folder,
            environment,
            self._declared.stdin,
            self._declared.stdout,
            self._declared.stderr,
            taken.allotment.cores,
            self._declared.grace,
        )
        with Program(order, [fd for fd in (taken.lock, lock.fd) if fd >= 0]) as program:
            about = new_attempt(number, command, program.pid, program.since)
            self._record.attempts.append(about | {"resources": taken.allotment.as_record()})
            self._record.state = "running"
            self._record.save(self._folder)
            self._say("running")
            watch = Watch(
                program,
                corrector.place,
                [handler for handler in corrector.handlers if handler.is_monitor],
                every=self._declared.monitor_every,
                time_limit=self._declared.time_limit,
                cancelled=None if self._cancelled is None else self._cancelled.is_set,
                correct=lambda monitor: corrector.correct(monitor, number, running=True),
                tick=lambda: self._tick(lock),
                noted=self._note_look,
            )
            return watch.run()

    def _workup(self) -> Any:
        if self._record.state != "finished":
            self._record.state = "workup"
        self._say("workup")
        return self._task.workup(self._folder)

    def _check_files(self) -> None:
        needed = [*self._declared.files, *filter(None, [self._declared.stdin])]
        missing = [pattern for pattern in needed if not any(self._folder.glob(pattern))]
        if missing:
            raise self._fail(InputMissingError, f"{self._folder} has no {', no '.join(missing)}, which the task needs")

    def _declared_files(self) -> list[str]:
        return [
            str(path.relative_to(self._folder))
            for pattern in self._declared.files
            for path in self._folder.glob(pattern)
            if path.is_file()
        ]

    def _tick(self, lock: FolderLock) -> None:
        lock.touch()
        self._say("running", self._numbers())

    def _numbers(self) -> dict[str, float]:
        """Ask the task for its numbers, if anybody wants to know."""
        if self._tell is None:
            return {}
        try:
            told = self._task.progress(self._folder) or {}
            return {str(name): float(value) for name, value in told.items()}
        except Exception as error:  # noqa: BLE001 - what it reads may not be there yet, and nobody depends on it
            self._record.attempts[-1]["progress_failed"] = f"{type(error).__name__}: {error}"
            return {}

    def _say(self, name: StageName, numbers: Mapping[str, float] = MappingProxyType({})) -> None:
        if self._tell is not None:
            done = len(self._record.attempts), len(self._record.corrections)
            new = tuple(_in_words(one) for one in self._record.corrections[self._said :])
            self._said = len(self._record.corrections)
            self._tell(Stage(name, *done, numbers, self._folder, new))

    def _note_look(self, monitor: Handler, error: BaseException) -> None:
        looks = self._record.attempts[-1].setdefault("looks_that_failed", {})
        times = looks.get(monitor.name, {}).get("times", 0)
        looks[monitor.name] = {"times": times + 1, "last": f"{type(error).__name__}: {error}"}

    def _note_end(self, watched: Watched) -> None:
        about = self._record.attempts[-1]
        about |= {"ended": time.time(), **watched.ending._asdict()}
        if watched.late or watched.cancelled or watched.monitor:
            about["ended_by"] = watched.monitor.name if watched.monitor else "time limit" if watched.late else "cancel"
        self._in_program += watched.ending.seconds

    def _note_failure(self, error: BaseException) -> None:
        """Record how it ended; where it stood in the way of that, the record stays as it was."""
        if self._record.state not in ("setup", "workup", "finished", "correcting"):
            own = isinstance(error, Exception) and not isinstance(error, TaskCancelledError)
            self._record.state = "failed" if own else "interrupted"
        elif self._record.state == "correcting" and isinstance(error, TaskError):
            self._record.state = "failed"
        self._record.error = f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):
            self._record.save(self._folder)

    def _fail(self, kind: type[TaskError], what: str, **further: Any) -> TaskError:
        return kind(
            what,
            folder=str(self._folder),
            attempts=len(self._record.attempts),
            corrections=tuple(self._record.corrections),
            **further,
        )


def _in_words(one: dict[str, Any]) -> dict[str, Any]:
    # Some handlers put their own objects into what they tell.
    return {"handler": one["handler"], "seen": [str(each) for each in one["seen"]], "done": list(map(str, one["done"]))}


def _correction(one: dict[str, Any]) -> Correction:
    return Correction(
        one["attempt"], one["handler"], tuple(one["seen"]), tuple(one["done"]), one["when"], one["difference"]
    )
