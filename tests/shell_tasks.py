"""Tasks for the tests: small programs whose failures are made to order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from simmate_remote.workflows.shell import ShellTask


class Script(ShellTask[str]):
    """Runs a shell script, which finds ``value.txt``, and gives what it printed."""

    command = ("sh", "script.sh")

    def setup(self, folder: Path, script: str, value: int = 0) -> None:
        (folder / "script.sh").write_text(script)
        (folder / "value.txt").write_text(f"{value}\n")

    def workup(self, folder: Path) -> str:
        return (folder / "stdout.txt").read_text().strip()


class Raises:
    """A handler: adds 1 to the value as long as the output has a word in it."""

    is_monitor = False

    def __init__(self, word: str = "too small", by: int = 1, most: int | None = None) -> None:
        self.word = word
        self.by = by
        self.max_num_corrections = most

    def check(self, directory: str = "./") -> bool:
        return self.word in Path(directory, "stdout.txt").read_text()

    def correct(self, directory: str = "./") -> dict[str, Any]:
        path = Path(directory, "value.txt")
        value = int(path.read_text())
        path.write_text(f"{value + self.by}\n")
        return {"errors": [self.word], "actions": [{"value": value + self.by}]}


AT_LEAST = (
    'value=$(cat value.txt); if [ "$value" -lt {least} ]; then echo too small; exit {code}; fi; echo "got $value"'
)


def at_least(least: int, code: int = 1) -> str:
    """Give a script that fails as long as the value is too small."""
    return AT_LEAST.format(least=least, code=code)


def wait_until(condition: Callable[[], Any], limit: float = 20.0) -> Any:
    """Wait until something is true, and give it."""
    deadline = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
    return found


def processes_with(text: str) -> list[int]:
    """Find the living processes whose command line or environment has a text."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes() + Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        if text.encode() in words and int(name) != os.getpid():
            found.append(int(name))
    return found


def processes_in(folder: Path) -> list[int]:
    """Find the living processes that work in a folder."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if Path(os.readlink(f"/proc/{name}/cwd")) == folder:
                found.append(int(name))
    return found


@contextmanager
def in_another_process(code: str, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run Python code that performs a task in a process of its own, which may be killed."""
    command = [sys.executable, "-c", f"import sys\nfrom pathlib import Path\n{code}", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    """End a process as nothing can prevent it."""
    process.send_signal(signal.SIGKILL)
    process.wait()
