"""Where it happens: the lab's box, and a user whose processes here, and database, can be killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chaos.plan import Job
from chaos.submitter import HOST, taken
from faults.place import FOLDERS, Place
from simmate_remote.database.configuration import Configuration
from tests.boxes import Box
from tests.databases import end_database, place_in, supervisor_of

CHECKOUT = Path(__file__).parents[1]
PROGRAM = str(Path(sys.executable).with_name("simmate-remote"))
LIMIT = 120.0
WORKERS = "workers: {count: 3, threads: 6}\nkeepalive: {interval: 2 s, tries: 2}\n"
LOOK = """
import json, os, sys
found = {}
for name in sorted(os.listdir('runs')):
    folder = f'runs/{name}'
    if not os.path.isdir(folder) or not os.path.exists(f'{folder}/spec.json'):
        continue
    about = {'attempts': sorted(int(n.split('.')[1]) for n in os.listdir(folder) if n.startswith('attempt.'))}
    try:
        about['outcome'] = json.loads(open(f'{folder}/outcome.json').readline())
    except FileNotFoundError:
        about['outcome'] = None
    try:
        about['witness'] = open(f'{folder}/files/witness').read().splitlines()
    except FileNotFoundError:
        about['witness'] = []
    found[name] = about
endings = {}
for line in open('runs/journal'):
    line = json.loads(line)
    if line.get('event') in ('finished', 'failed', 'cancelled'):
        endings[line['run']] = endings.get(line['run'], 0) + 1
json.dump({'runs': found, 'endings': endings}, sys.stdout)
"""
"""What is asked on the host, in our folder there."""


class Stage(Place):
    """A host, and a user with folders of their own.

    Args:
        box: The host.
    """

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        described = box.inventory(self.folder / "hosts")
        kept = [
            line for line in described.read_text().splitlines() if not line.startswith(("workers", "keepalive", " "))
        ]
        described.write_text("\n".join(kept) + "\n" + WORKERS)
        self.taken = self.folder / "taken"
        self.environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
        self.environment |= {variable: str(self.folder / name) for variable, name in FOLDERS.items()}
        self.environment["SIMMATE_REMOTE_HOSTS"] = str(described.parent)
        self._submitter: subprocess.Popen[str] | None = None

    @property
    def database(self) -> Configuration:
        """The user's database."""
        folder = self.folder / "data" / "simmate-remote" / "database"
        return Configuration("embedded", "", "here", None, 300.0, "chaos", folder)

    def command(self, *words: str, limit: float = LIMIT) -> subprocess.CompletedProcess[str]:
        """Run a command of ours as the user."""
        try:
            return subprocess.run(
                [PROGRAM, *words],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=limit,
            )
        except subprocess.TimeoutExpired as error:
            return subprocess.CompletedProcess(error.cmd, 124, "", f"not within {limit:.0f} s")

    def connect(self) -> bool:
        """Connect if nothing is connected, and say whether something is."""
        return bool(self.sessions()) or self.command("connect", HOST).returncode == 0

    def submit(self, jobs: Iterable[Job], pause: float) -> None:
        """Let the user's program go on with its work, if it does not.

        Args:
            jobs: All of it.
            pause: Seconds between two batches.
        """
        if self._submitter is not None and self._submitter.poll() is None:
            return
        with self.log.open("a") as errors:
            self._submitter = subprocess.Popen(
                [sys.executable, "-m", "chaos.submitter", str(self.taken), str(pause)],
                cwd=CHECKOUT,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=errors,
                text=True,
            )
        assert self._submitter.stdin is not None
        with suppress(BrokenPipeError), self._submitter.stdin as given:
            json.dump([asdict(job) for job in jobs], given)

    def ids(self) -> dict[int, str]:
        """Give the ids of the runs that were taken, by their numbers."""
        return taken(self.taken)

    def kill_submitter(self) -> None:
        """Kill the user's program."""
        if self._submitter is not None:
            self._submitter.kill()
            self._submitter.wait()

    def kill_sessions(self) -> None:
        """Kill the session's process."""
        for pid in self.sessions():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_database(self, *, with_supervisor: bool) -> None:
        """Kill the database's processes."""
        place = place_in(self.folder / "data")
        victims = []
        with suppress(FileNotFoundError, ValueError, IndexError):
            victims.append(int((place.data / "postmaster.pid").read_text().split()[0]))
        if with_supervisor and (supervisor := supervisor_of(place)) is not None:
            victims.insert(0, supervisor)
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def reboot(self) -> None:
        """Kill everything of the user's here, as a loss of power does."""
        self.kill_submitter()
        self.kill_sessions()
        self.kill_database(with_supervisor=True)

    def processes_there(self) -> list[tuple[str, int]]:
        """Give the names and numbers of our processes on the host; none while it cannot be asked."""
        asked = self.command("ps", HOST, "--json", limit=10)
        if asked.returncode:
            return []
        found = json.loads(asked.stdout).get("processes", ())
        # Not the programs that runs have started: what kills them is no fault of ours, and lets the run fail.
        return [(each["name"], each["pid"]) for each in found if each["command"].startswith("python")]

    def look(self) -> dict[str, Any]:
        """Read on the host what stands in the runs' folders, and in the journal."""
        done = self.box.run(f"cd ~/simmate-remote && python3 - <<'END'\n{LOOK}\nEND")
        if done.returncode:
            raise RuntimeError(done.stderr)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def end(self) -> list[str]:
        """End everything as a user does, and give what is left all the same."""
        self.kill_submitter()
        self.command("disconnect", HOST, "--stop")
        deadline = time.monotonic() + 30
        while (self.box.processes() or self.sessions()) and time.monotonic() < deadline:
            time.sleep(0.1)
        end_database(self.folder / "data")
        there = [f"{pid} {' '.join(argv)}" for pid, argv in self.box.processes()]
        return there + [f"here: the session process {pid}" for pid in self.sessions()]

    def close(self) -> None:
        """Remove what the user had, and what is left of it on the host."""
        self.reboot()
        for pid, _ in self.box.processes():
            with suppress(ProcessLookupError):
                self.box.kill(pid, signal.SIGKILL)
        self.box.run("rm -rf ~/simmate-remote/runs")
        shutil.rmtree(self.folder, ignore_errors=True)
