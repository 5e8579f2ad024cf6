"""Coming back to 1,000 runs that finished meanwhile: seconds from ``connect`` on until their rows are here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.pairs import Figure
from simmate_remote.database.configuration import Configuration
from simmate_remote.database.plain import open_plain
from tests.databases import end_database
from tests.lab import Lab

RUNS = 1000
LIMIT = 300.0
FOLDERS = {"XDG_DATA_HOME": "data", "XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "config", "XDG_RUNTIME_DIR": "run"}
CODE = f"""
import sys
from simmate_remote import workflow

@workflow
def double(number: int) -> int:
    return 2 * number

if __name__ == "__main__":
    import work
    work.double.map([{{"number": number}} for number in range({RUNS})], on="lab-box")
"""
COUNT = "SELECT COUNT(*) FROM simmate_remote_runs WHERE state = 'finished'"


def measure(lab: Lab, _: int) -> list[Figure]:
    """Measure it once; most of it is 1,000 runs."""
    with tempfile.TemporaryDirectory(prefix="back-", dir="/tmp") as name:
        folder = Path(name)
        for each in FOLDERS.values():
            (folder / each).mkdir(mode=0o700)
        environment = {**os.environ, "SIMMATE_REMOTE_HOSTS": str(lab.inventory)}
        environment |= {variable: str(folder / each) for variable, each in FOLDERS.items()}
        (folder / "work.py").write_text(CODE)
        try:
            return [
                Figure(f"rows of {RUNS:,} runs, from `connect` on", _seconds(lab, folder, environment), "s", at_most=5)
            ]
        finally:
            _command(environment, folder, "disconnect", "lab-box", "--stop")
            end_database(folder / "data")


def _seconds(lab: Lab, folder: Path, environment: dict[str, str]) -> float:
    lab.run("researcher", "rm -rf ~/simmate-remote/runs")  # those of other benchmarks are not to be counted
    subprocess.run([sys.executable, "work.py"], cwd=folder, env=environment, check=True, timeout=LIMIT)
    for pid in _sessions(folder):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + LIMIT
    ended = f"cd ~/simmate-remote/runs && [ $(ls -d */outcome.json | wc -l) = {RUNS} ]"
    while lab.run("researcher", ended, check=False).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError("the runs did not finish")
        time.sleep(0.2)
    data = folder / "data" / "simmate-remote" / "database"
    rows = open_plain(Configuration("embedded", "", "here", None, 300.0, "the benchmark", data))
    rows.change("DELETE FROM simmate_remote_attempts")
    rows.change("DELETE FROM simmate_remote_runs")
    rows.change("UPDATE simmate_remote_journals SET position = 0")
    typed = time.monotonic()
    _command(environment, folder, "connect", "lab-box")
    while rows.row(COUNT) != (RUNS,):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{rows.row(COUNT)} rows only")
        time.sleep(0.02)
    rows.close()
    return time.monotonic() - typed


def _command(environment: dict[str, str], folder: Path, *words: str) -> None:
    program = str(Path(sys.executable).with_name("simmate-remote"))
    subprocess.run([program, *words], cwd=folder, env=environment, check=True, capture_output=True, timeout=60)


def _sessions(folder: Path) -> list[int]:
    mark = f"XDG_RUNTIME_DIR={folder}/run".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, variables = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if b"simmate_remote.session" in words.split(b"\0") and mark in variables.split(b"\0"):
            found.append(int(process.name))
    return found
