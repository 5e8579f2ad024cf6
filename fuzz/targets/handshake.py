"""The handshake of a carrier, at both ends: a hostile keeper, and whoever reaches the keeper's socket."""

from __future__ import annotations

import asyncio

from fuzz.bounds import Budget, Finding, check_kept
from fuzz.hostile_frames import WINDOW, frames, pieces
from fuzz.hostile_json import record
from fuzz.loops import run_quietly, settle
from fuzz.script import Script
from fuzz.wires import Wire
from simmate_remote.errors import ProtocolError
from simmate_remote.streams.carrier import FarCarrier, Keepalive, NearCarrier
from simmate_remote.streams.conversation import Conversation, refuse_all
from simmate_remote.streams.frames import MAX_CONTROL_PAYLOAD, FrameReader, Kind, encode

MIN_TOKEN = 32
MOST_KEPT = 4 * MAX_CONTROL_PAYLOAD + 300_000

_HELLO = (
    ("protocol", ("1", "1", "1", "2")),
    ("conversation", ('"' + "t" * 64 + '"', '"short"')),
    ("carrier", ("1", "2")),
    ("resume", ("false", "true")),
    ("owner", ('"me"',)),
    ("alive", ("[]", "[1]")),
    ("keepalive", ("[5.0,3]",)),
)
_ANSWER = (("protocol", ("1",)), ("keeper", ('"1.0"',)), ("hostname", ('"lab"',)), ("reason", ('"no"',)))


def opening(script: Script, kinds: tuple[Kind, ...], greeting: bytes) -> bytes:
    """Give the first bytes of a hostile end: a greeting of one of some kinds, or anything; and what comes behind it."""
    data = encode(script.choice(kinds), payload=greeting) if script.number() < 200 else frames(script)
    return data + b"".join(frames(script) for _ in range(script.number() % 4))


async def greet_near(script: Script, budget: Budget) -> None:
    """Answer as a hostile keeper does."""
    conversation = Conversation(first=True, token="s" * 64, window=WINDOW)
    carrier = NearCarrier(conversation, Keepalive())
    wire = Wire(carrier)
    data = opening(script, (Kind.WELCOME, Kind.WELCOME, Kind.REFUSE, Kind.HELLO), record(script, _ANSWER))
    for piece in pieces(script, data):
        budget.fed += len(piece)
        wire.feed(piece)
    if not carrier.joined.done():
        check_kept(MOST_KEPT, carrier)
    await settle()
    wire.abort()
    if carrier.joined.exception() is None:
        if not isinstance(carrier.joined.result(), dict):
            raise Finding("a WELCOME that is no object")
    elif not isinstance(carrier.joined.exception(), ProtocolError):
        raise Finding(f"the handshake ends with {carrier.joined.exception()!r}")
    conversation.close("the input is over")


async def greet_far(script: Script, budget: Budget) -> None:
    """Greet a keeper as somebody does who stole the path of its socket, and knows no token."""
    begun: dict[str, Conversation] = {"k" * 64: Conversation(first=False, token="k" * 64, window=WINDOW)}
    asked: list[str] = []

    async def accept(target: str) -> asyncio.Protocol:
        asked.append(target)
        return await refuse_all(target)

    def begin(token: str, owner: str) -> Conversation:
        begun[token] = Conversation(first=False, accept=accept, token=token, owner=owner, window=WINDOW)
        return begun[token]

    carrier = FarCarrier(begun.get, begin, dict)
    wire = Wire(carrier)
    data = opening(script, (Kind.HELLO, Kind.HELLO, Kind.HELLO, Kind.WELCOME), record(script, _HELLO))
    for piece in pieces(script, data):
        budget.fed += len(piece)
        wire.feed(piece)
    if carrier.conversation is None:
        check_kept(MOST_KEPT, carrier)
        if len(begun) > 1 or [each.kind for each in FrameReader().read(bytes(wire.sent))] not in ([], [Kind.REFUSE]):
            raise Finding("something was done before the handshake")
    await settle()
    wire.abort()
    if carrier.conversation is None and asked:
        raise Finding(f"{asked} was asked for before the handshake")
    for token, conversation in begun.items():
        if len(token) < MIN_TOKEN:
            raise Finding("a conversation without a secret")
        conversation.close("the input is over")


async def play(data: bytes) -> None:
    """Play a hostile handshake with one end or the other."""
    script, budget = Script(data), Budget()
    await (greet_near if script.number() % 2 else greet_far)(script, budget)
    budget.check()


def check(data: bytes) -> None:
    """Play a hostile handshake; see :func:`play`."""
    run_quietly(play(data))


def seeds() -> list[bytes]:
    """Give inputs to begin with."""
    usual = bytes(2 * len(_HELLO))
    nested, number = bytes([0, 200, 22]), bytes([0, 200, 12])
    return [
        bytes([0]) + usual,
        bytes([1]) + bytes(2 * len(_ANSWER)),
        bytes([0]) + nested + usual,
        bytes([1]) + nested + usual,
        bytes([0]) + number + usual,
        bytes([1]) + usual + bytes([0, 0, 1, 6, 2, 0, 2, 0, 0, 0, 0, 1]),
    ]
