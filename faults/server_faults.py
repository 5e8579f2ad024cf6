"""What happens to the SSH server, and what it forbids."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from faults.place import Place
from tests.boxes import EmbeddedBox

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
    carriers = [pid for pid, argv in place.box.processes() if argv[0] == CARRIER]
    place.box.kill(carriers[0], signal.SIGKILL)
    yield
