"""What runs and listens on the box, read from /proc outside of it: exact, quick, and unnoticed there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

LISTENING = "0A"
ACCEPTS_CONNECTIONS = 0x10000


class Process(NamedTuple):
    """A process of the box.

    Args:
        pid: Its number on the box.
        argv: Its command line.
    """

    pid: int
    argv: list[str]


class BoxProcess(NamedTuple):
    """A process of the box, with what only the outside knows.

    Args:
        seen: What the box knows of it.
        uid: Number of the user that it runs as.
        outside_pid: Its number on this machine.
    """

    seen: Process
    uid: int
    outside_pid: int


class Socket(NamedTuple):
    """A listening socket of the box.

    Args:
        kind: ``tcp`` or ``unix``.
        address: ``127.0.0.1:8786``, ``[::]:8786``, a path, or ``@name`` of an abstract one.
        pid: Number on the box of a process that holds it.
    """

    kind: Literal["tcp", "unix"]
    address: str
    pid: int


class Connection(NamedTuple):
    """A TCP connection that a process holds.

    Args:
        local: Address and port of this end.
        peer: Address and port of the other end.
    """

    local: str
    peer: str


def list_processes(init_pid: int) -> list[BoxProcess]:
    """Return the living processes in the PID namespace of a process; zombies do not count.

    Args:
        init_pid: Number on this machine of the first process of that namespace.
    """
    box = _namespace(init_pid)
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = [_read_process(pid) for pid in pids if _namespace(pid) == box]
    return sorted(process for process in found if process is not None)


def list_sockets(init_pid: int, processes: list[BoxProcess]) -> list[Socket]:
    """Return the listening sockets that some processes of the box hold, each once.

    Args:
        init_pid: Number on this machine of a process in the box's network namespace.
        processes: Whose sockets.
    """
    listening = dict(_listening(Path(f"/proc/{init_pid}/net")))
    found: dict[str, Socket] = {}
    for process in processes:
        for inode in _socket_inodes(process.outside_pid):
            if inode in listening:
                kind, address = listening[inode]
                found.setdefault(inode, Socket(kind, address, process.seen.pid))
    return sorted(found.values())


def tcp_connections(net: Path) -> list[Connection]:
    """Return the TCP connections of a network namespace, without those that only the kernel still cares for.

    Args:
        net: Its folder in ``/proc``, for example ``/proc/self/net``.
    """
    found = []
    for name in ("tcp", "tcp6"):
        for line in (net / name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] != LISTENING and fields[9] != "0":
                found.append(Connection(_tcp_address(fields[1]), _tcp_address(fields[2])))
    return found


def _namespace(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:  # ended meanwhile
        return None


def _read_process(outside_pid: int) -> BoxProcess | None:
    try:
        status = Path(f"/proc/{outside_pid}/status").read_text()
        argv = Path(f"/proc/{outside_pid}/cmdline").read_bytes()
    except OSError:
        return None
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in status.splitlines())}
    if fields["State"][0] in "ZX" or len(fields["NSpid"]) < 2:
        return None
    words = [os.fsdecode(word) for word in argv.rstrip(b"\0").split(b"\0")]
    return BoxProcess(Process(int(fields["NSpid"][-1]), words), int(fields["Uid"][1]), outside_pid)


def _socket_inodes(pid: int) -> Iterator[str]:
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for descriptor in descriptors:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def _listening(net: Path) -> Iterator[tuple[str, tuple[Literal["tcp", "unix"], str]]]:
    """Yield inode, kind and address of every listening socket in a network namespace."""
    for name in ("tcp", "tcp6"):
        for line in (net / name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING:
                yield fields[9], ("tcp", _tcp_address(fields[1]))
    for line in (net / "unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if int(fields[3], 16) & ACCEPTS_CONNECTIONS:
            yield fields[6], ("unix", fields[7] if len(fields) == 8 else "")


def _tcp_address(text: str) -> str:
    """Turn the kernel's ``0100007F:2252`` (little-endian words) into ``127.0.0.1:8786``."""
    digits, port = text.split(":")
    words = [bytes.fromhex(digits[start : start + 8])[::-1] for start in range(0, len(digits), 8)]
    if len(words) == 1:
        return f"{socket.inet_ntop(socket.AF_INET, words[0])}:{int(port, 16)}"
    return f"[{socket.inet_ntop(socket.AF_INET6, b''.join(words))}]:{int(port, 16)}"
