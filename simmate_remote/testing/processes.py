"""What runs on an embedded host: every process that carries its mark, and the sockets that these listen on.

The mark is an environment variable, because children inherit it even after they have left their process
group, their session and their parent. Only Linux tells it (in ``/proc``); elsewhere nothing is found.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
SEES_PROCESSES = sys.platform == "linux"
_TCP_LISTEN = "0A"
_UNIX_ACCEPTS = 0x10000
_UNIX_ENTRY = re.compile(r"\w+: \w+ \w+ (?P<flags>\w+) \w+ \w+ +(?P<inode>\d+)(?: (?P<path>.*))?", re.DOTALL)


class ListeningSocket(NamedTuple):
    """A socket that accepts connections.

    Args:
        pid: A process that has it open.
        family: ``tcp`` or ``unix``.
        address: ``address:port``, or the socket's path (``@…`` if it is abstract).
    """

    pid: int
    family: str
    address: str


def marked_processes(name: str, value: str) -> list[tuple[int, list[str]]]:
    """List the living processes that were started with an environment variable.

    Args:
        name: The variable.
        value: Its value.

    Returns:
        Process id and command line of each; empty on systems without ``/proc``.
    """
    mark = f"{name}={value}".encode()
    found = []
    for pid in filter(str.isdigit, os.listdir(PROC)) if SEES_PROCESSES else ():
        folder = PROC / pid
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                found.append((int(pid), [os.fsdecode(word) for word in words]))
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue  # somebody else's, or it ended while we looked
    return found


def listening_sockets(pids: list[int]) -> list[ListeningSocket]:
    """List the TCP and Unix sockets that processes of this network namespace listen on.

    Args:
        pids: The processes whose sockets are asked for.

    Returns:
        One entry for each process and socket; empty on systems without ``/proc``.
    """
    if not pids:
        return []
    listeners = _tcp_listeners() | _unix_listeners()
    found = []
    for pid in pids:
        inodes = {listener for listener in _open_sockets(pid) if listener in listeners}
        found += [ListeningSocket(pid, *listeners[inode]) for inode in inodes]
    return sorted(found)


def _open_sockets(pid: int) -> set[str]:
    """Return the inode numbers of a process's sockets."""
    inodes = set()
    try:
        for entry in (PROC / str(pid) / "fd").iterdir():
            try:
                match = re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink()))
            except FileNotFoundError:
                continue
            if match:
                inodes.add(match[1])
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        pass  # it ended while we looked
    return inodes


def _tcp_listeners() -> dict[str, tuple[str, str]]:
    """Return family and address of every listening TCP socket, by inode number."""
    listeners = {}
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        path = PROC / "net" / table
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            _, local, _, state, *_, inode = line.split()[:10]
            if state == _TCP_LISTEN:
                address, port = local.split(":")
                # The kernel prints the address as 32-bit words in its own byte order.
                words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
                name = socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))
                listeners[inode] = ("tcp", f"{name}:{int(port, 16)}")
    return listeners


def _unix_listeners() -> dict[str, tuple[str, str]]:
    """Return family and path of every listening Unix socket, by inode number."""
    listeners = {}
    for line in os.fsdecode((PROC / "net" / "unix").read_bytes()).split("\n"):
        # Anybody's socket may have a newline in its path, so not every line is an entry.
        if (entry := _UNIX_ENTRY.fullmatch(line)) and int(entry["flags"], 16) & _UNIX_ACCEPTS:
            listeners[entry["inode"]] = ("unix", entry["path"] or "")
    return listeners
