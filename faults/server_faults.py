"""What happens to the SSH server, and what it forbids."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from faults.place import Place
from tests.boxes import EmbeddedBox
from tests.hosts import wait_until

CARRIER = "simmate-remote-carrier"


@contextlib.contextmanager
def killed(place: Place, seconds: float) -> Iterator[None]:
    """Kill the server's processes of our connection; the server itself stays."""
    place.box.cut()
    yield


@contextlib.contextmanager
def restarted(place: Place, seconds: float) -> Iterator[None]:
    """Stop the server with all its connections, and start it again."""
    if isinstance(place.box, EmbeddedBox):
        place.box.host.refuse()
        place.box.cut()
        yield
        place.box.host.accept()
    else:
        place.lab.server.stop()
        place.box.cut()
        yield
        place.lab.server.start()


@contextlib.contextmanager
def forbids_forwarding(place: Place, seconds: float) -> Iterator[None]:
    """Forbid all forwarding."""
    with place.lab.sshd(DisableForwarding="yes"):
        yield


@contextlib.contextmanager
def allows_one_session(place: Place, seconds: float) -> Iterator[None]:
    """Allow one channel with a command, and no forwarding that could stand in for others."""
    with place.lab.sshd(MaxSessions=1, DisableForwarding="yes"):
        yield


@contextlib.contextmanager
def carrier_killed(place: Place, seconds: float) -> Iterator[None]:
    """Kill the command on the host that lends one carrier its stdin and stdout; the login stays."""
    if not (carriers := _carriers(place)):
        # All that is left are channels to the keeper's socket, which have no process: a new login begins with one.
        place.box.cut()
        wait_until(lambda: bool(_carriers(place)), 30, "a carrier with a process")
        carriers = _carriers(place)
    place.box.kill(carriers[0], signal.SIGKILL)
    yield


def _carriers(place: Place) -> list[int]:
    return [pid for pid, argv in place.box.processes() if argv[0] == CARRIER]
