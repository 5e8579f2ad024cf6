"""Handlers and validators: custodian's protocol, by what an object can do and not by its class.

An object with ``check`` and ``correct`` is a handler, one with ``check`` alone a validator; custodian need not be
installed. ``check(directory=…)`` says whether something is wrong, ``correct(directory=…)`` mends it and tells what it
saw and did. Older classes of custodian take no ``directory`` and look into the current folder: each call is
made there in any case, since some of today's write their copies there, too.
"""

from __future__ import annotations

import copy
import inspect
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from simmate_remote.errors import TaskDeclarationError

_clearing = threading.Lock()


class Handler:
    """One handler of one task: a copy of what its class declares, since handlers remember what they saw.

    Args:
        original: The object, or a class to be called without arguments.
        folder: The task's folder.
        task: Its name, for messages.

    Attributes:
        name: The name of its class.
        is_monitor: Whether it also looks while the program runs.
        is_terminating: Whether the program is ended when it sees something then.
        raises: Whether the task fails when it knows no way.
        most: How often it may correct; None: no limit of its own.
        raises_at_most: Whether the task fails then, and not only the handler keeps still.
        alone: Whether it works with the current folder, and so not beside that of another task: custodian keeps what
            it has read by the name of the file.
        done: How often it has corrected.
        acted_in: The last attempt in which it acted while the program ran.
    """

    def __init__(self, original: Any, folder: Path, task: str) -> None:
        try:
            self._it = original() if isinstance(original, type) else copy.deepcopy(original)
        except Exception as error:
            raise TaskDeclarationError(
                f"the handler {type(original).__name__} of {task} cannot be copied: {type(error).__name__}: {error}"
            ) from error
        self._folder = folder
        self.name = type(self._it).__name__
        if not callable(getattr(self._it, "check", None)):
            raise TaskDeclarationError(f"{self.name}, a handler or validator of {task}, has no method check")
        self.can_correct = callable(getattr(self._it, "correct", None))
        self.is_monitor = bool(getattr(self._it, "is_monitor", False))
        self.is_terminating = bool(getattr(self._it, "is_terminating", True))
        self.raises = bool(getattr(self._it, "raises_runtime_error", True))
        self.most: int | None = getattr(self._it, "max_num_corrections", None)
        self.raises_at_most = bool(getattr(self._it, "raise_on_max", False))
        self.alone = not _takes_directory(self._it.check)
        self.done = 0
        self.acted_in = 0

    def remember(self, done: int) -> None:
        """Tell it how often it has corrected in this folder."""
        self.done = done
        if hasattr(self._it, "n_applied_corrections"):
            self._it.n_applied_corrections = done

    def check(self) -> bool:
        """Say whether it sees something; to be called in its place."""
        try:
            return bool(self._call(self._it.check))
        finally:
            _forget_files()

    def correct(self) -> tuple[list[str], list[Any]]:
        """Let it mend what it has seen; to be called in its place.

        Returns:
            What it saw, and what it did; nothing done: it knows no way.
        """
        try:
            told = self._call(self._it.correct) or {}
        finally:
            _forget_files()
        errors, actions = told.get("errors"), told.get("actions")
        return _as_list(errors, str), _as_list(actions, None)

    def _call(self, method: Callable[..., Any]) -> Any:
        return method(directory=str(self._folder)) if _takes_directory(method) else method()


def make_handlers(declared: Sequence[Any], folder: Path, task: str, *, correcting: bool) -> list[Handler]:
    """Make the handlers or the validators of one task from what its class declares."""
    made = [Handler(original, folder, task) for original in declared]
    for handler in made:
        if correcting and not handler.can_correct:
            raise TaskDeclarationError(f"{handler.name}, a handler of {task}, has no method correct")
    return made


def _takes_directory(method: Callable[..., Any]) -> bool:
    parameters = inspect.signature(method).parameters.values()
    return any(one.name == "directory" or one.kind is one.VAR_KEYWORD for one in parameters)


def _as_list(value: Any, kind: type | None) -> list[Any]:
    if value is None:
        return []
    values = list(value) if isinstance(value, (list, tuple, set)) else [value]
    return [kind(each) for each in values] if kind else values


def _forget_files() -> None:
    """Let custodian forget what it has read, if it is there: the next look is to see the files as they are then."""
    cache = getattr(sys.modules.get("custodian.utils"), "tracked_lru_cache", None)
    if cache is not None:
        with _clearing:
            cache.tracked_cache_clear()
