"""Which user is at the other end of a connection over the loopback interface, which all users of a machine share."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""The kernel's connections, a line each (proc_pid_net(5)); an IPv4 connection of an IPv6 socket is in the second."""


def is_of_another_user(connection: tuple[str, int], ours: tuple[str, int]) -> bool:
    """Say whether somebody else made a connection; where the kernel does not tell (macOS), nobody is known to be.

    Args:
        connection: IPv4 address and port of the end that connected.
        ours: The same of the end that listens.
    """
    tables = [table for table in TABLES if table.exists()]
    ends = (_as_written(connection), _as_written(ours))
    users = [user for table in tables for user in _users(table, *ends)]
    # A connection that is in no table is over; whose it was cannot be known any more.
    return bool(tables) and users != [os.getuid()]


def _users(table: Path, local: str, remote: str) -> Iterator[int]:
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(local) and fields[2].endswith(remote):
            yield int(fields[7])


def _as_written(address: tuple[str, int]) -> str:
    number = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
    return f"{number:08X}:{address[1]:04X}"
