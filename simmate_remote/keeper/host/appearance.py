"""What a process looks like from outside: the command line and the environment that ``ps`` and ``/proc`` show of it.

A fork looks like its parent. But whoever looks at a host's processes shall see what it is, and what belongs to a keeper
is found by a mark in its environment (:mod:`simmate_remote.keeper.host.family`). The kernel shows both from the
process's own memory, as it is at that moment (proc_pid_cmdline(5), proc_pid_environ(5)), and a program may write there
what it wants to be seen. The place is as long as what stood there in the beginning: a variable that will be written is
prepared by whoever starts the program.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

ARG_START, ARG_END, ENV_START, ENV_END = 48, 49, 50, 51
"""Numbers of fields (proc_pid_stat(5)), counted from 1."""

PREFIX = "simmate-remote: "

STATE = 3
"""The number of the first field behind the name, which may contain anything."""


def show_name(name: str, *words: str) -> None:
    """Show what this process is, where that can be done: ``simmate-remote: worker-0``.

    Args:
        name: What it is called.
        words: What else is shown.
    """
    show_command(PREFIX + name, *words)


def shown_name(pid: int) -> str | None:
    """Give what a process shows that it is; None if it shows nothing of the kind, or has ended."""
    try:
        first = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0])
    except OSError:
        return None
    return first.removeprefix(PREFIX) if first.startswith(PREFIX) else None


def show_command(*words: str) -> bool:
    """Show another command line.

    Args:
        words: What is shown of it; what finds no place is cut off.

    Returns:
        Whether it could be done; otherwise nothing was changed.
    """
    if (line := _place(ARG_START, ARG_END, "cmdline")) is None:
        return False
    address, shown = line
    # The zero at its very end says that there is no more to be seen behind it.
    found = b"\0".join(map(os.fsencode, words))[: len(shown) - 1]
    ctypes.memmove(address, found.ljust(len(shown), b"\0"), len(shown))
    return True


def appear_as(command: list[str], name: str, value: str) -> bool:
    """Show another command line, and another value of an environment variable.

    Args:
        command: The words; what finds no place is cut off.
        name: A variable that this program was started with; os.environ is left as it is.
        value: What is shown of it.

    Returns:
        Whether it could be done; otherwise nothing was changed.
    """
    if (variables := _place(ENV_START, ENV_END, "environ")) is None:
        return False
    start = f"{name}=".encode()
    entry = next((each for each in variables[1].split(b"\0") if each.startswith(start)), b"")
    shown = start + os.fsencode(value)
    if not len(start) < len(shown) <= len(entry):
        return False
    if not show_command(*command):
        return False
    offset = 0 if variables[1].startswith(entry + b"\0") else variables[1].index(b"\0" + entry + b"\0") + 1
    ctypes.memmove(variables[0] + offset, shown.ljust(len(entry), b"\0"), len(entry))
    return True


def _place(first: int, last: int, name: str) -> tuple[int, bytes] | None:
    """Give the address of what a file in /proc/self shows, and what it shows; None: that is not known for certain."""
    try:
        fields = Path("/proc/self/stat").read_text(errors="replace").rpartition(")")[2].split()
        begin, end = int(fields[first - STATE]), int(fields[last - STATE])
        shown = Path(f"/proc/self/{name}").read_bytes()
    except (OSError, IndexError, ValueError):
        return None
    # A kernel that does not tell says 0; an older program may have moved it.
    if not begin or end - begin != len(shown) or ctypes.string_at(begin, len(shown)) != shown:
        return None
    return begin, shown
