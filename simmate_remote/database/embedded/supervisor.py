"""The supervisor: starts the embedded server, and stops it when nobody has used it for a while.

It runs as ``python -m simmate_remote.database.embedded.supervisor``, one for each database, with the standard library
alone. Whoever uses the database holds a lock on a file, which the kernel takes back when that process dies in whatever
way; so the supervisor needs no account of who is there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from simmate_remote.database.embedded.making import make
from simmate_remote.database.embedded.place import LONGEST_LOG, SOCKET, SOCKETS, Place, lock, programs
from simmate_remote.database.embedded.stepping_down import step_down
from simmate_remote.errors import SimmateRemoteError, error_to_dict

START_TIMEOUT = 300.0
"""Seconds until the server is ready; after a crash it may have much to write again."""

START_TRIES = 3
START_PAUSE = 0.5
STOP_TIMEOUT = 30.0
TICK = 0.01


class News:
    """Signals end a wait: the server died, or this process is asked to end.

    Args:
        asked_to_end: Called when it is.
    """

    def __init__(self, asked_to_end: Callable[[], None]) -> None:
        self._pipe, told = os.pipe()
        for end in (self._pipe, told):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: asked_to_end())

    def wait(self, seconds: float) -> None:
        """Wait for news, or for so many seconds."""
        if select.select([self._pipe], [], [], seconds)[0]:
            os.read(self._pipe, 1000)


class Supervisor:
    """Keeps the server of one place.

    Args:
        place: Its folder.
        lease: Seconds that the server stays when nobody uses it.
    """

    def __init__(self, place: Place, lease: float) -> None:
        self._place = place
        self._lease = lease
        self._server: subprocess.Popen[bytes] | None = None
        self._sockets: Path | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._asked_to_end = False
        self._news = News(self._ask_to_end)

    def start(self) -> None:
        """Start the server, and the database's own files if there are none yet.

        Raises:
            SimmateRemoteError: It does not start, and why.
        """
        place = self._place
        self._forget_sockets()
        bin_folder = programs(place.data)
        try:
            step_down(place.data)
        except OSError as error:
            raise place.wrong(
                f"PostgreSQL refuses to run as root, and root cannot step down on this machine: {error}"
            ) from error
        try:
            if not place.data.exists():
                make(place, bin_folder)
            self._end_left_over()
            self._sockets = Path(tempfile.mkdtemp(prefix=SOCKETS, dir="/tmp"))
            self._start_patiently(bin_folder, self._sockets)
        except subprocess.CalledProcessError as error:
            raise self._did_not_start(f"{Path(error.cmd[0]).name} failed", error.stdout) from error
        except OSError as error:
            raise self._did_not_start(str(error), None) from error

    def serve(self) -> None:
        """Keep the server until nobody has used it for a while, it dies, or this process is asked to end."""
        place, server, sockets = self._place, self._server, self._sockets
        assert server is not None
        assert sockets is not None
        pause = min(max(self._lease / 10, 0.05), 2.0)
        used = time.monotonic()
        while server.poll() is None and not self._asked_to_end and (sockets / SOCKET).exists():
            self._news.wait(pause)
            with contextlib.suppress(OSError):
                place.shorten_log()
            try:
                alone = lock(place.users, fcntl.LOCK_EX, patience=-1.0)
            except TimeoutError:
                used = time.monotonic()
                continue
            if time.monotonic() - used > self._lease and self._has_clients(server.pid):
                used = time.monotonic()  # of another program, that knows nothing of our lock
            elif time.monotonic() - used > self._lease:
                # Whoever comes now waits for the lock, and then finds the server stopped.
                self.stop()
                os.close(alone)
                return
            os.close(alone)

    def stop(self) -> None:
        """Stop the server in good order, and remove what only serves while it runs."""
        self._place.address.unlink(missing_ok=True)
        self._stop_server()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)

    # Inside

    def _has_clients(self, server: int) -> bool:
        """Whether anybody is connected: each connection has a process, whose title says so."""
        titles: list[bytes] = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.path.samefile(process / "cwd", self._place.data):
                    titles.append((process / "cmdline").read_bytes())
        if not Path("/proc/self").exists():
            listing = subprocess.run(["ps", "-A", "-o", "ppid=,args="], capture_output=True, check=False).stdout
            titles = [line for line in listing.splitlines() if line.split()[:1] == [str(server).encode()]]
        return any(b"[local]" in title for title in titles)

    def _ask_to_end(self) -> None:
        self._asked_to_end = True

    def _stop_server(self) -> None:
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None
        if (server := self._server) is not None and server.poll() is None:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                server.send_signal(signal.SIGQUIT)  # it recovers when it is started again
                server.wait(STOP_TIMEOUT)

    def _start_patiently(self, bin_folder: Path, sockets: Path) -> None:
        """Start the server, again where what a killed one left has not quite ended."""
        for tries_left in reversed(range(START_TRIES)):
            try:
                self._start(bin_folder, sockets)
            except SimmateRemoteError:
                if not tries_left or self._asked_to_end:
                    raise
                self._news.wait(START_PAUSE)
            else:
                return

    def _start(self, bin_folder: Path, sockets: Path) -> None:
        log = os.open(self._place.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        said = os.path.getsize(self._place.log)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        try:
            self._server = subprocess.Popen(
                [bin_folder / "postgres", "-D", self._place.data, "-k", sockets],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )
        finally:
            os.close(log)
        limit = time.monotonic() + START_TIMEOUT
        while self._postmaster()[-1:] != ["ready"]:
            if self._server.poll() is not None or time.monotonic() > limit or self._asked_to_end:
                self._stop_server()
                raise self._did_not_start("the embedded database does not start", _tail(self._place.log, said))
            time.sleep(TICK)
        self._watch(self._server.pid)
        self._place.address.write_text(str(sockets))

    def _watch(self, server: int) -> None:
        """Let the server end with this process, in whatever way that ends: a shell waits for the end of its input."""
        command = ["/bin/sh", "-c", 'read _; kill -INT "$1"', "sh", str(server)]
        self._watcher = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def _postmaster(self) -> list[str]:
        """Read what a server writes about itself into its data folder."""
        try:
            lines = (self._place.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []
        ours = self._server is not None and lines[:1] == [str(self._server.pid)]
        return [line.strip() for line in lines] if ours or self._server is None else []

    def _forget_sockets(self) -> None:
        """Remove the socket's folder that a killed supervisor left."""
        with contextlib.suppress(FileNotFoundError):
            folder = Path(self._place.address.read_text())
            if folder.name.startswith(SOCKETS):
                shutil.rmtree(folder, ignore_errors=True)
            self._place.address.unlink()

    def _end_left_over(self) -> None:
        """End what a killed supervisor, or a killed server, left, and pass over the record of one that is gone.

        Nobody else starts a server here while we hold our lock. Postgres itself would refuse to start if a process
        of ours has, after a reboot, the number that its server had before, or while one connection's process goes on.
        """
        data = self._place.data
        lines = self._postmaster()
        if lines and lines[0].isdigit():
            number = int(lines[0])
            for way in (signal.SIGINT, signal.SIGQUIT):
                limit = time.monotonic() + STOP_TIMEOUT
                while _is_postgres(number, data) and time.monotonic() < limit:
                    os.kill(number, way)
                    self._news.wait(START_PAUSE)
            if not _is_postgres(number, data) and _lives(number):
                (data / "postmaster.pid").unlink(missing_ok=True)
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                # Not a person's shell or editor that stands in this folder.
                if os.path.samefile(process / "cwd", data) and (process / "comm").read_text().strip() == "postgres":
                    os.kill(int(process.name), signal.SIGKILL)
        if not lines or not lines[0].isdigit():
            # Empty, after a loss of power: Postgres would not start, and ask a person to remove it.
            (data / "postmaster.pid").unlink(missing_ok=True)

    def _did_not_start(self, what: str, detail: str | None) -> SimmateRemoteError:
        from simmate_remote.errors import DatabaseFullError, Remedy

        free = os.statvfs(self._place.folder)
        if free.f_bavail * free.f_frsize < LONGEST_LOG or "No space left" in (detail or what):
            return DatabaseFullError(
                f"no space is left on the disk under {self._place.folder}",
                meanwhile="the database is stopped; what was committed is kept",
                remedies=(Remedy(f"df -h {self._place.folder}", "shows how much is free"),),
                detail=detail,
            )
        return self._place.wrong(what, detail)


def _is_postgres(number: int, data: Path) -> bool:
    """Whether a process is a server of this data folder."""
    try:
        shown = Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        if Path("/proc/self").exists():
            return False
        shown = subprocess.run(["ps", "-o", "args=", "-p", str(number)], capture_output=True, check=False).stdout
    return bytes(data) in shown


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(max(begin, os.path.getsize(log) - 2000))
        return file.read().decode(errors="replace")


def main() -> None:
    """Read the request on stdin, become the only supervisor of its place, answer on stdout, and serve."""
    request = json.loads(sys.stdin.buffer.readline())
    place = Place(Path(request["folder"]))
    supervisor = Supervisor(place, request["lease"])
    try:
        _be_the_only_one(place)
    except SimmateRemoteError as error:
        _answer({"error": error_to_dict(error)})  # and nothing is touched of what the other one serves
        return
    try:
        supervisor.start()
    except SimmateRemoteError as error:
        supervisor.stop()
        _answer({"error": error_to_dict(error)})
        return
    _answer({"started": True})
    try:
        supervisor.serve()
    finally:
        supervisor.stop()


def _be_the_only_one(place: Place) -> None:
    """Take the lock that a supervisor holds for as long as it lives; also against one on another machine."""
    try:
        ours = lock(place.supervising, fcntl.LOCK_EX)
    except TimeoutError:
        other = place.supervising.read_text().partition(" ")[0]
        raise place.wrong(f"the database in {place.folder} is being served on the machine {other}") from None
    os.ftruncate(ours, 0)
    os.write(ours, f"{socket.gethostname()} {os.getpid()}".encode())


def _answer(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    main()
