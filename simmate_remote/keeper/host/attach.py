"""Find the keeper of this machine, or start one, and hand it this command's stdin and stdout as a carrier."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from simmate_remote.keeper.host.family import MARK, is_marked
from simmate_remote.keeper.host.record import (
    Record,
    boot_id,
    fresh_records,
    keepers_folder,
    other_records,
    read_record,
    record_path,
)

ANSWER_TIMEOUT = 10.0
TURN_TIMEOUT = 45.0
"""Seconds to wait for another login, which may take :data:`.starting.START_TIMEOUT` to start a keeper."""

ENDING_TIMEOUT = 15.0
"""Seconds to wait for the end of a keeper that takes nobody any more; the next login waits for this one meanwhile."""

BETWEEN_TRIES = 0.02
UCRED = struct.Struct("3i")


def attach(request: dict[str, Any], folder: str, package: str, say: Callable[..., None]) -> None:
    """Become the carrier between this login and the keeper; never returns if all goes well.

    Args:
        request: What the near end asked for; ``start`` is whether a keeper may be started, ``here`` whether also if
            another machine has one, ``lease`` a new keeper's first lease in seconds, ``process`` what it starts first.
        folder: Our folder on the host.
        package: The folder that holds our package.
        say: Sends a line to the near end.
    """
    place = Path(folder)
    client, address, port = _login()
    with one_at_a_time(place):
        found = _living(place)
        started, previous = found is None, None
        if found is None:
            if (others := fresh_records(place)) and not request["here"]:
                say(at="elsewhere", record=others[0]._asdict())
                return
            # These imports, and what they import, cost a login that finds a keeper nothing.
            from simmate_remote.keeper.host.previous import previous_keeper

            previous = previous_keeper(place)
            if not request["start"]:
                say(at="gone", previous=previous and previous._asdict())
                return
            found = _start(place, package, request, address, port)
    connection, record = found
    told = {"started": started, "previous": previous and previous._asdict(), "warnings": record.warnings}
    say(at="handover", pid=record.pid, **told)
    socket.send_fds(connection, [f"carrier {client}".encode()], [0, 1])
    _wait_beside(connection)


def foresee(folder: str) -> None:
    """Import ahead what it takes to start a keeper, if none is recorded here."""
    if not record_path(Path(folder)).exists():
        import simmate_remote.keeper.host.logout
        import simmate_remote.keeper.host.previous
        import simmate_remote.keeper.host.serving
        import simmate_remote.keeper.host.starting  # noqa: F401


def _start(place: Path, package: str, request: dict[str, Any], address: str, port: int) -> tuple[socket.socket, Record]:
    from simmate_remote.keeper.host.logout import how_to_survive_logout
    from simmate_remote.keeper.host.previous import forget_previous
    from simmate_remote.keeper.host.starting import start_keeper

    survival = how_to_survive_logout()
    order = {
        "lease": request["lease"],
        "process": request["process"],
        "package": Path(package).name,
        "address": address,
        "port": port,
        "warnings": survival.warnings,
    }
    start_keeper(place, package, order, survival.prefix)
    forget_previous(place)
    # What the new keeper started will take longer than this.
    from simmate_remote.keeper.host.pruning import prune

    prune(place, Path(package).name)
    found = _living(place)
    if found is None:
        raise RuntimeError("the keeper said that it is ready, and then did not answer")
    return found


def _login() -> tuple[str, str, int]:
    """Give the client's address, and the server's address and port, of this login (``SSH_CONNECTION``, ssh(1))."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    return (words[0], words[2], int(words[3])) if len(words) == 4 else ("", "", 0)


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Keep two logins from starting two keepers.

    Raises:
        RuntimeError: Another login keeps this one waiting for longer than a start may take.
    """
    keepers_folder(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    path = record_path(folder).with_suffix(".lock")
    with path.open("w") as file:
        deadline = time.monotonic() + TURN_TIMEOUT
        # A network file system without locks: two logins in the same half second could then start two keepers.
        with contextlib.suppress(OSError):
            while not _lock(file):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"another login has been at it here for {TURN_TIMEOUT:.0f} s; it holds {path}")
                # Not time.sleep, which waits for a point in time: where a clock is faked, that may be an hour away.
                select.select([], [], [], BETWEEN_TRIES)
        yield


def _lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _living(folder: Path) -> tuple[socket.socket, Record] | None:
    """Connect to the keeper of this machine, if it lives; one that is ending is given the time for it."""
    deadline = time.monotonic() + ENDING_TIMEOUT
    while (found := _reachable(folder)) is None and time.monotonic() < deadline:
        own = read_record(record_path(folder))
        if own is None or not _is_ending(own):
            break
        select.select([], [], [], BETWEEN_TRIES)
    return found


def _is_ending(record: Record) -> bool:
    """Say whether a keeper that takes nobody is alive: it has yet to say why it ends, and to take its record away."""
    return record.boot == boot_id() and Path(record.handover).exists() and is_marked(record.pid, record.runtime)


def _reachable(folder: Path) -> tuple[socket.socket, Record] | None:
    own = read_record(record_path(folder))
    # A machine that is called otherwise since its keeper began is the same one all the same.
    renamed = [record for record, _ in other_records(folder) if record.boot == boot_id()]
    for record in [own, *renamed]:
        if record is not None and (connection := _connect(record)) is not None:
            return connection, record
    return None


def _connect(record: Record) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(ANSWER_TIMEOUT)
    try:
        connection.connect(record.handover)
    except TimeoutError as error:
        connection.close()
        raise RuntimeError(f"the keeper (process {record.pid}) has not answered for {ANSWER_TIMEOUT:.0f} s") from error
    except OSError:
        connection.close()
        return None
    connection.settimeout(None)
    if _user_behind(connection) != os.getuid():
        # The record outlived its keeper, by a reboot for example, and another user has taken the path in /tmp.
        connection.close()
        return None
    return connection


def _user_behind(connection: socket.socket) -> int:
    """Give the number of the user at the other end, as the kernel knows it (``ucred``, unix(7))."""
    _, user, _ = UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))
    return int(user)


def _wait_beside(connection: socket.socket) -> None:
    """Stay alive as long as the keeper uses the carrier: sshd closes the channel when its command ends.

    A shell that waits for a line takes a tenth of the memory of a Python that does.
    """
    os.dup2(connection.fileno(), 3)
    os.set_inheritable(3, True)
    os.environ.pop(MARK, None)
    os.execv("/bin/sh", ["simmate-remote-carrier", "-c", "read -r _ <&3"])
