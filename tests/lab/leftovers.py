"""What a test left on a lab that it shares with others: logins, and changes of the network or the server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.processes import tcp_connections

if TYPE_CHECKING:
    from tests.lab.lab import Lab

LEAVING = 10.0  # seconds that a login gets to end
UNHEARD = 0.3  # seconds after which the end of a login that has none here any more is taken for lost
SSH_PORT = 22


def assert_as_found(lab: Lab, *, leaving: float = LEAVING, unheard: float = UNHEARD) -> None:
    """Fail if a test left the lab otherwise than it was, or somebody logged in; and mend it, for the next test's sake.

    A login whose connection is gone on this side alone is nobody's fault: its end was lost on a bad network, or
    behind a firewall that had forgotten the connection. sshd would wait for ever; it is told to hang up.

    Args:
        lab: The lab.
        leaving: How long a login gets to end, in seconds.
        unheard: The same, where nobody holds its connection here any more.

    Raises:
        AssertionError: Something was left; it is named.
    """
    __tracebackhide__ = True
    complaints = [f"the network: {name} is {value}" for name, value in lab.network.restore().items()]
    if overrides := lab.server.overrides():
        complaints.append(f"the server's settings: {overrides}")
        lab.sshd()
    start = time.monotonic()
    while (sessions := lab.server.sessions()) or lab.server.beginning():
        here = _connections_to(lab)
        if time.monotonic() > start + (unheard if sessions and not here else leaving):
            if here:
                complaints += [f"a login: {process.seen.pid} {process.seen.argv[0]}" for process in sessions]
            lab.server.hang_up()
            break
        time.sleep(0.01)
    assert not complaints, "the test left in the lab:\n  " + "\n  ".join(complaints)


def _connections_to(lab: Lab) -> list[str]:
    """Return the local ends of the connections to the box's SSH server that a process here still holds."""
    peer = f"{lab.address}:{SSH_PORT}"
    return [one.local for one in tcp_connections(Path("/proc/self/net")) if one.peer == peer]
