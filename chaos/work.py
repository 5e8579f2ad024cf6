"""What runs on the host: a workflow that leaves witnesses in its folder, and knows when it should not have begun."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time

from simmate_remote import workflow
from simmate_remote.workflows.current import current

WITNESS = "witness"
"""The file with a line for each begin, each end, and each violation."""


class ExpectedError(Exception):
    """What a run fails with that is meant to fail."""


@workflow
def witnessed(number: int, seconds: float, program: bool, fails: bool) -> int:
    """Take a while, alone in this folder, and give a number that can be checked.

    Args:
        number: Which of the runs this is.
        seconds: How long it takes.
        program: Whether a program takes the time, which outlives a worker that is killed.
        fails: Whether it is meant to fail.
    """
    folder = current().folder
    lines = os.open(folder / WITNESS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    alone = os.open(folder / "alone", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if (folder.parent / "outcome.json").exists():
            os.write(lines, b"violation: begun although it had ended\n")
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.write(lines, b"violation: two attempts at once\n")
        os.write(lines, b"begin\n")
        if program:
            subprocess.run(["sleep", f"{seconds}"], pass_fds=[alone], check=True)
        else:
            time.sleep(seconds)
        os.write(lines, b"end\n")
    finally:
        os.close(alone)
        os.close(lines)
    if fails:
        raise ExpectedError(f"number {number}")
    return expected(number)


def expected(number: int) -> int:
    """Give what a run returns."""
    return number * number + 1
