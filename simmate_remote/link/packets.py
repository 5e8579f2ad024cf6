"""Small packets: one for one message, where asyncssh sends an empty one before each; and none that waits for a word."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import asyncssh

MSG_IGNORE = 2
"""RFC 4253, section 11.2."""

_NO_CHAINING = ("gcm@openssh.com", "chacha20-poly1305@openssh.com")


def spare_empty_packets(connection: asyncssh.SSHClientConnection) -> None:
    """Leave out the packets that hide what the next one begins with, where the cipher does that by itself.

    In CBC mode the end of a packet is what the next one is mixed with, and is known to who listens (RFC 4251, section
    9.3.1), so asyncssh puts an empty packet between any two. A cipher that encrypts each packet with a number of
    its own has no such end, and OpenSSH sends none. They are half of all packets, and two wake-ups of the server for
    each message.

    Args:
        connection: A connection whose cipher has been agreed on.
    """
    if not str(connection.get_extra_info("send_cipher")).endswith(_NO_CHAINING):
        return
    send_packet = connection.send_packet

    def send(kind: int, *parts: bytes, **options: Any) -> None:
        if kind != MSG_IGNORE:
            send_packet(kind, *parts, **options)

    connection.send_packet = send  # type: ignore[method-assign, assignment]  # asyncssh has no setting for it


@contextlib.contextmanager
def acknowledging_at_once(connection: asyncssh.SSHClientConnection) -> Iterator[None]:
    """Acknowledge what comes as soon as it has been read: for as long as the first channel is being opened.

    sshd then says several small things in a row. Until its first session has begun, it lets its kernel hold back each
    until those before have been acknowledged (RFC 9293, section 3.7.4), and ours waits 40 ms with that, so as to send
    something along (section 3.8.6.3). Linux forgets the wish whenever something is sent, so it is said again each time.

    Args:
        connection: One that has just logged in.
    """
    pipe = connection.get_extra_info("socket")
    quick = getattr(socket, "TCP_QUICKACK", None)  # Linux has it
    if quick is None or pipe is None or pipe.family not in (socket.AF_INET, socket.AF_INET6):
        yield
        return
    data_received = connection.data_received

    def acknowledge(data: bytes, datatype: int | None = None) -> None:
        with contextlib.suppress(OSError):  # the connection has ended, which is told soon enough
            pipe.setsockopt(socket.IPPROTO_TCP, quick, 1)
        data_received(data, datatype)

    connection.data_received = acknowledge  # type: ignore[method-assign]
    try:
        yield
    finally:
        del connection.data_received
