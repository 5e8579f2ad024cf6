"""Which user is at the other end of a connection over the loopback interface, which all users of a machine share."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""The kernel's connections, a line each (proc_pid_net(5)); an IPv4 connection of an IPv6 socket is in the second."""

# sock_diag(7); the structures are in linux/netlink.h and linux/inet_diag.h, numbers without a name in Python too.
HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
QUESTION = struct.Struct("=BBBBI")  # inet_diag_req_v2 before its id: family, protocol, extensions, -, states
ENDS = struct.Struct("!HH16s16s")  # inet_diag_sockid: ports and addresses of the socket's two ends
ANY = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)  # the rest of it: interface and cookie
ANSWER = struct.Struct("=BBBB48xIIIII")  # inet_diag_msg: family, state, …, user, inode
NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST = 4, 20, 1
NOBODYS_STATES = {6, 10, 12}
"""TIME_WAIT, LISTEN and NEW_SYN_RECV: not the end of a connection that somebody has (net/tcp_states.h)."""


def is_of_another_user(connection: tuple[str, int], ours: tuple[str, int]) -> bool:
    """Say whether somebody else made a connection; where the kernel does not tell (macOS), nobody is known to be.

    Args:
        connection: IPv4 address and port of the end that connected.
        ours: The same of the end that listens.
    """
    user = _asked_for(connection, ours)
    if user is not None:
        return user != os.getuid()
    tables = [table for table in TABLES if table.exists()]
    ends = (_as_written(connection), _as_written(ours))
    users = [user for table in tables for user in _users(table, *ends)]
    # A connection that is in no table is over; whose it was cannot be known any more.
    return bool(tables) and users != [os.getuid()]


def _asked_for(local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """Ask the kernel for the user of one end of a connection; None if it has no answer, or no such questions.

    The tables have the same answer, and each takes the kernel 8 ms to write, however few connections there are: as long
    as the event loop of whoever asks stands still.
    """
    if not sys.platform.startswith("linux"):
        return None
    ends = ENDS.pack(
        local[1], remote[1], *(socket.inet_aton(address).ljust(16, b"\0") for address, _ in (local, remote))
    )
    question = QUESTION.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + ends + ANY
    header = HEADER.pack(HEADER.size + len(question), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, NETLINK_SOCK_DIAG) as kernel:
            kernel.sendto(header + question, (0, 0))
            answer = kernel.recv(4096)
    except OSError:
        return None
    if HEADER.unpack_from(answer)[1] != SOCK_DIAG_BY_FAMILY:
        return None
    _, state, _, _, _, _, _, user, _ = ANSWER.unpack_from(answer, HEADER.size)
    return None if state in NOBODYS_STATES else int(user)


def _users(table: Path, local: str, remote: str) -> Iterator[int]:
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(local) and fields[2].endswith(remote):
            yield int(fields[7])


def _as_written(address: tuple[str, int]) -> str:
    number = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
    return f"{number:08X}:{address[1]:04X}"
