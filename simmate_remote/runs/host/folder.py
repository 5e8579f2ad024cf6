"""A run's folder: the truth about the run, whatever dies. What is in it is only ever added.

::

    spec.json       what the run is; there before anything begins
    attempt.1.json  who began it when; with a number for each attempt
    lock            held by the attempt that is at work
    output.log      what its function printed, as it is printed
    result.pickle   a result that is too large for outcome.json
    outcome.json    how it ended: the first that writes it wins, for ever
    cancel          it shall end: whoever is to begin an attempt does not
    files/          where the function's own files go
    restart.1       it shall run again: from now on outcome.1.json and cancel.1 count, and so on
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from simmate_remote.errors import RunDamagedError, RunNotFoundError
from simmate_remote.runs.host.durable import sync, write_all, write_once
from simmate_remote.runs.host.outcome import RunOutcome
from simmate_remote.runs.host.spec import Spec


class RunFolder:
    """One run's folder.

    Args:
        path: Where it is; its name is the run's id.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        """The run's."""
        return self.path.name

    @property
    def lock(self) -> Path:
        """The file that an attempt locks."""
        return self.path / "lock"

    @property
    def output(self) -> Path:
        """The file with what was printed."""
        return self.path / "output.log"

    @property
    def files(self) -> Path:
        """The folder of the function's own files; made when it is first asked for."""
        folder = self.path / "files"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    # What it is

    def write_spec(self, spec: Spec) -> None:
        """Make the folder and write what the run is; whoever does so for many waits for the disk once for all.

        Raises:
            RunDamagedError: There is another run of this id.
            OSError: The disk is full.
        """
        self.path.mkdir(mode=0o700, exist_ok=True)
        if not write_once(self.path / "spec.json", spec.as_bytes(), sync=False) and self.spec() != spec:
            raise RunDamagedError(f"there is another run {spec.id} already", meanwhile="it was left as it is")

    def spec(self) -> Spec:
        """Read what the run is.

        Raises:
            RunNotFoundError: The folder, or this file in it, is gone.
            RunDamagedError: It cannot be read.
        """
        try:
            return Spec.from_bytes((self.path / "spec.json").read_bytes())
        except FileNotFoundError as error:
            raise RunNotFoundError(f"the folder of the run {self.id} is gone: {self.path}") from error

    # Its rounds: each restart begins another

    def round(self) -> int:
        """Count how often the run was started again after it had ended."""
        number = 0
        while (self.path / f"restart.{number + 1}").exists():
            number += 1
        return number

    def begin_round(self, number: int) -> bool:
        """Let the run run again, and give whether this call has done it.

        Args:
            number: The round that begins.
        """
        return write_once(self.path / f"restart.{number}", f"{self.attempts()}\n".encode())

    def attempts_before(self, round_: int) -> int:
        """Count the attempts of the rounds before one."""
        if not round_:
            return 0
        try:
            return int((self.path / f"restart.{round_}").read_text())
        except (OSError, ValueError):
            return 0

    # Its attempts

    def attempts(self) -> int:
        """Count the attempts that have begun."""
        try:
            return sum(name.startswith("attempt.") for name in os.listdir(self.path))
        except FileNotFoundError:
            return 0

    def note_attempt(self, number: int, about: dict[str, Any]) -> None:
        """Write down who begins an attempt, and when.

        It is for people, and for the count: only the lock says who is at work.
        """
        fd = os.open(self._attempt(number), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, json.dumps(about).encode() + b"\n")
        finally:
            os.close(fd)

    def attempt(self, number: int) -> dict[str, Any]:
        """Read what was written down of an attempt; nothing if that cannot be read."""
        try:
            about = json.loads(self._attempt(number).read_bytes())
        except (OSError, ValueError):
            return {}
        return about if isinstance(about, dict) else {}

    def _attempt(self, number: int) -> Path:
        return self.path / f"attempt.{number}.json"

    # How it ends

    def cancel(self, round_: int) -> None:
        """Say that the run shall end."""
        write_once(self.path / _numbered("cancel", "", round_), b"")

    def is_cancelled(self, round_: int) -> bool:
        """Say whether the run shall end."""
        return (self.path / _numbered("cancel", "", round_)).exists()

    def write_outcome(
        self, outcome: RunOutcome, round_: int, result: bytes | None = None, *, sync: bool = True
    ) -> bool:
        """Write how the run ended, unless it has ended before.

        Args:
            outcome: How.
            round_: The round that ends.
            result: The pickled result, if it is too large to be part of the outcome.
            sync: Whether to wait until the disk has it.

        Returns:
            Whether this is how it ended.

        Raises:
            OSError: The disk is full, or the folder gone.
        """
        if result is not None:
            if self.has_outcome(round_):
                return False
            large = self.path / _numbered("result", ".pickle", round_)
            large.unlink(missing_ok=True)  # of an attempt that was killed before it had an outcome
            write_once(large, result)
        return write_once(self.path / _numbered("outcome", ".json", round_), outcome.as_bytes(), sync=sync)

    def outcome(self, round_: int) -> RunOutcome | None:
        """Read how the run ended; None: it has not.

        Raises:
            RunDamagedError: The file is not whole.
        """
        try:
            return RunOutcome.from_bytes((self.path / _numbered("outcome", ".json", round_)).read_bytes())
        except FileNotFoundError:
            return None
        except RunDamagedError as error:
            raise RunDamagedError(f"the run {self.id} has ended, and {error.what}", folder=str(self.path)) from error

    def has_outcome(self, round_: int) -> bool:
        """Say whether the run has ended, without reading how."""
        return (self.path / _numbered("outcome", ".json", round_)).exists()

    def set_aside(self, round_: int) -> None:
        """Move an outcome out of the way that nobody was told, and that is not whole."""
        damaged = self.path / _numbered("outcome", ".json", round_)
        with contextlib.suppress(FileNotFoundError):
            damaged.replace(damaged.with_name(f"damaged.{damaged.name}"))
            sync(self.path)

    def result_name(self, round_: int) -> str:
        """Give the name of the file with a large result."""
        return _numbered("result", ".pickle", round_)


def _numbered(name: str, suffix: str, round_: int) -> str:
    return f"{name}.{round_}{suffix}" if round_ else f"{name}{suffix}"
