"""Durable runs on a host, for the tests of what becomes of them: workflows, and looks at what they do."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.inventory import Host
from simmate_remote.session.desk import Desk
from simmate_remote.session.join import join
from simmate_remote.workflows.run_handle import RunHandle
from tests.boxes import Box
from tests.carried import CONVERGE

CODE = """
from pathlib import Path
import os, signal, sys, threading

from simmate_remote import report_progress, workflow
from simmate_remote.workflows.current import current


@workflow
def double(number: int) -> int:
    print("doubling", number)
    return 2 * number


@workflow
def wait(name: str = "go") -> str:
    folder = current().folder
    report_progress(1, 2, "waiting")
    (folder / f"began-{len(list(folder.glob('began-*')))}").touch()
    while not (folder / name).exists():
        if current().cancelled.wait(0.02):
            return "cancelled"
    return "went"


@workflow
def die_first(times: int) -> int:
    folder = current().folder
    number = len(list(folder.glob("attempt-*"))) + 1
    (folder / f"attempt-{number}").touch()
    if number <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@workflow
def large(size: int) -> bytes:
    return b"x" * size


@workflow
def unsendable() -> dict:
    return {"energy": 1.0, "locks": [threading.Lock()]}


@workflow
def stands() -> tuple:
    return str(Path.cwd()), str(Path.home())


@workflow
def not_here() -> object:
    import there_only
    return there_only.Thing()
"""


PROGRAMS = (
    CONVERGE
    + """
import os, signal

from simmate_remote.workflows.current import current


class Counted(ShellTask[int]):
    command = ("sh", "-c", "echo x >> count; sleep 0.2")

    def workup(self, folder: Path) -> int:
        return len((folder / "count").read_text().split())


@workflow
def program_then_death() -> list[object]:
    done = Counted().run()
    folder = current().folder
    if not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return [done, sorted(each.name for each in folder.iterdir())]


@workflow
def sleep() -> int:
    return ShellTask(command="sleep 8712399").run()
"""
)


@contextlib.contextmanager
def durables(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give the module ``durables``, which is a user's own; ``durable_programs`` can be imported beside it."""
    (folder / "durables.py").write_text(CODE)
    (folder / "durable_programs.py").write_text(PROGRAMS)
    (folder / "there_only.py").write_text("class Thing:\n    pass\n")
    patch.setattr(sys, "path", [str(folder), *sys.path])
    yield importlib.import_module("durables")
    for name in ("durables", "durable_programs", "there_only"):
        sys.modules.pop(name, None)


@contextlib.contextmanager
def desk_of(host: Host) -> Iterator[Desk]:
    desk = Desk(host)
    desk.open()
    try:
        yield desk
    finally:
        desk.close()


def connect(host: Host) -> None:
    """Do what `simmate-remote connect` does."""

    async def connected() -> None:
        (await join(host, lasting=True)).close()

    asyncio.run(connected())


def began(box: Box, handle: RunHandle[Any], number: int = 0) -> bool:
    return box.run(f"test -e {handle.folder}/files/began-{number}").returncode == 0


def go(box: Box, handle: RunHandle[Any]) -> None:
    assert box.run(f"touch {handle.folder}/files/go").returncode == 0


def pids(box: Box, what: str) -> list[int]:
    return [pid for pid, argv in box.processes() if what in " ".join(argv)]
