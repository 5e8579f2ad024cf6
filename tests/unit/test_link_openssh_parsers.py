"""What the ssh program and its master say is read in any pieces, and nonsense ends nothing but its own connection."""

from __future__ import annotations

import asyncio
import itertools
import unicodedata
from unittest.mock import Mock

from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.link.failures import AGREEING, GREETING, LOGGING_IN
from simmate_remote.link.openssh.messages import string
from simmate_remote.link.openssh.trace import Trace, readable
from simmate_remote.link.openssh.wire import Wire

LOGIN = b"""OpenSSH_9.2p1 Debian-2, OpenSSL 3.0.19 27 Jan 2026\r
debug1: Connecting to jump [192.0.2.1] port 22.\r
debug1: Connection established.\r
debug1: kex_exchange_identification: banner line 0: Be\\007ware\r
debug1: Remote protocol version 2.0, remote software version OpenSSH_9.0\r
debug1: Server host key: ssh-ed25519 SHA256:first\r
Authenticated to jump ([192.0.2.1]:22) using "publickey".\r
debug1: Remote protocol version 2.0, remote software version OpenSSH_9.1\r
debug1: Server host certificate: ssh-ed25519-cert-v01@openssh.com SHA256:second, serial 0\r
Welcome.\r
debug1: Authentications that can continue: publickey,password\r
debug1: Next authentication method: publickey\r
debug1: Offering public key: /home/ada/my key ED25519 SHA256:mine explicit agent\r
debug1: Server accepts key: /home/ada/my key ED25519 SHA256:mine explicit agent\r
debug1: Next authentication method: password\r
"""


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(ends)]


@given(st.lists(st.integers(0, 10_000), max_size=20))
def test_a_login_over_a_jump_host(cuts: list[int]) -> None:
    trace = Trace(2)
    steps: list[str] = []
    trace.stepped = steps.append
    for piece in pieces_of(LOGIN, cuts):
        trace.data_received(piece)
    first, second = trace.stages
    assert (first.server, first.key) == ("SSH-2.0-OpenSSH_9.0", "ssh-ed25519 SHA256:first")
    assert "Beware" in first.said
    assert (second.server, second.key) == ("SSH-2.0-OpenSSH_9.1", "ssh-ed25519-cert-v01@openssh.com SHA256:second")
    assert second.offered == ["publickey", "password"]
    assert second.tried == ["publickey", "password"]
    assert second.keys == ["ED25519 SHA256:mine (/home/ada/my key, in the agent)"]
    assert second.accepted_key
    assert trace.told() == "Welcome."
    assert trace.told() == ""
    assert steps[1:4] == [GREETING, AGREEING, GREETING]
    assert steps[-1] == LOGGING_IN


@given(st.lists(st.binary(max_size=200)), st.integers(1, 3))
def test_any_output_is_read(pieces: list[bytes], hops: int) -> None:
    trace = Trace(hops)
    for piece in pieces:
        trace.data_received(piece)
    trace.connection_lost(None)
    assert 1 <= trace.number <= hops
    assert not any(unicodedata.category(one) == "Cc" and one != "\t" for line in trace.now.said for one in line)
    trace.words()


@given(st.text())
def test_what_ssh_escaped_is_left_out(text: str) -> None:
    assert "\\033" not in readable("\\033" + text.replace("\\", ""))


@given(st.lists(st.binary(max_size=50)), st.lists(st.integers(0, 10_000), max_size=20))
def test_messages_are_cut_where_they_end(sent: list[bytes], cuts: list[int]) -> None:
    wire = Wire()
    came: list[bytes] = []
    wire.message = lambda message: came.append(bytes(message))
    for piece in pieces_of(b"".join(map(string, sent)), cuts):
        wire.data_received(piece)
    assert came == sent


def test_a_message_of_any_length_is_not_waited_for() -> None:
    wire = Wire()
    transport = Mock(spec=asyncio.Transport)
    wire.connection_made(transport)
    wire.data_received(b"\xff" * 10)
    transport.abort.assert_called_once_with()
