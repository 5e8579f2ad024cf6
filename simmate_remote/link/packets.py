"""One SSH packet for one message: asyncssh sends an empty one before each, which only old ciphers need."""

from __future__ import annotations

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
