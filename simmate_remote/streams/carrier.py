"""The end of a carrier: the handshake that joins it to a conversation, and the watch for a silent loss."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, cast

from simmate_remote.errors import ConversationGoneError, ProtocolError
from simmate_remote.streams.clock import elapsed
from simmate_remote.streams.conversation import CarrierEnd, Conversation
from simmate_remote.streams.frames import HEADER, MAX_CONTROL_PAYLOAD, Frame, FrameReader, Kind, encode
from simmate_remote.streams.keepalive import Keepalive

logger = logging.getLogger(__name__)

PROTOCOL_VERSION = 2
OTHER_VERSION = "the keeper speaks protocol "
"""How a refusal begins whose reason is that; a keeper that an older version left running has no other way to say it."""

HANDSHAKE_TIMEOUT = 30.0
ENDED_UNANSWERED = "the carrier ended before the keeper had answered"
MAX_OWNER = 256
MAX_BRACKETS = 64
"""Lists and objects in a greeting, so that it cannot nest deeper than Python can read and show it."""

PACE = 1.0
"""Seconds between two looks at how long a carrier has been silent."""

SUSPICION = 2.0
"""Seconds without an answer after which a carrier is under suspicion, long before it counts as lost."""

OVERSLEPT = 3.0
"""Seconds that a look may come late before it means that this machine, or this process, was asleep."""


class NotTakenError(ProtocolError):
    """The far end is ending, or ended, and has not taken a carrier; whatever comes after it may take the next one."""


class _Carrier(asyncio.Protocol, CarrierEnd):
    """What both ends of a carrier do once they have agreed."""

    def __init__(self) -> None:
        self.full = False
        self.suspect = False
        self.conversation: Conversation | None = None
        self.number = 0
        self.keepalive = Keepalive()
        self._transport: asyncio.Transport | None = None
        self._head = bytearray()
        self._heard = 0.0
        self._looked = 0.0
        self._asked = 0
        self._asked_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = self._loop.call_later(HANDSHAKE_TIMEOUT, self.abort)

    def data_received(self, data: bytes) -> None:
        self._heard = elapsed()
        if self.conversation is not None:
            if self.suspect:
                self._set_suspect(False)
            self.conversation.receive(self.number, data)
            return
        self._head += data
        try:
            found = _first_frame(self._head)
            if found is not None:
                frame, rest = found
                self._head.clear()
                self.agree(frame)
                if rest:
                    self.data_received(rest)
        except ProtocolError as error:
            logger.warning("a carrier is refused: %s", error.what)
            self._head.clear()
            self.failed(error)

    def agree(self, frame: Frame) -> None:
        """Take the first frame of the other end."""
        raise NotImplementedError

    def failed(self, error: ProtocolError) -> None:
        """End a carrier whose handshake failed."""
        self.abort()

    def join(self, conversation: Conversation, number: int) -> None:
        """Let the conversation use this carrier from now on."""
        assert self._transport is not None
        self.conversation, self.number = conversation, number
        if self._timer is not None:
            self._timer.cancel()
        self._looked = elapsed()
        self._look_again()
        conversation.attach(number, self)

    def eof_received(self) -> bool | None:
        # The transport closes by itself, but perhaps not at once, and takes nothing more until then.
        if self.conversation is not None:
            self.conversation.lose(self.number)
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.conversation is not None:
            self.conversation.lose(self.number)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        if self.conversation is not None:
            self.conversation.pump()

    def send(self, frames: list[bytes | memoryview]) -> None:
        assert self._transport is not None
        self._transport.writelines(frames)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _watch(self) -> None:
        """Ask when nothing was heard for a while, and give up when nothing answers."""
        assert self.conversation is not None
        now, interval = elapsed(), self.keepalive.interval
        overslept = now - self._looked > self._pace + OVERSLEPT
        self._looked = now
        if overslept or self._heard > self._asked_at:
            # Questions that were asked before a sleep say nothing: the answers had nobody to hear them.
            self._asked = 0
        waited = now - self._asked_at if self._asked else 0.0
        if self._asked and waited < interval:
            if waited >= min(SUSPICION, interval / 2):
                self._set_suspect(True)
        elif self._asked >= self.keepalive.tries:
            logger.info("carrier %d is lost: no answer for %.0f s", self.number, now - self._heard)
            self.abort()
            return
        elif overslept or now - self._heard >= interval:
            self._asked += 1
            self._asked_at = now
            self.conversation.ping(self.number)
        self._look_again()

    @property
    def _pace(self) -> float:
        return min(PACE, self.keepalive.interval / 4)

    def _look_again(self) -> None:
        self._timer = self._loop.call_later(self._pace, self._watch)

    def _set_suspect(self, suspect: bool) -> None:
        if suspect is not self.suspect:
            self.suspect = suspect
            if self.conversation is not None:
                self.conversation.carriers_changed()


class NearCarrier(_Carrier):
    """The end that makes carriers: it says first who it is.

    Args:
        conversation: What the carrier shall belong to.
        keepalive: How a silent loss is noticed, at both ends.
    """

    def __init__(self, conversation: Conversation, keepalive: Keepalive) -> None:
        super().__init__()
        self.joined: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self.keepalive = keepalive
        self._wanted = conversation
        self._planned_number = conversation.next_carrier_number()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        hello = {
            "protocol": PROTOCOL_VERSION,
            "conversation": self._wanted.token,
            "carrier": self._planned_number,
            "resume": self._wanted.begun,
            "owner": self._wanted.owner,
            "alive": self._wanted.carriers,
            "keepalive": [self.keepalive.interval, self.keepalive.tries],
        }
        self.send([encode(Kind.HELLO, payload=json.dumps(hello).encode())])

    def agree(self, frame: Frame) -> None:
        answer = _payload(frame)
        if frame.kind is Kind.REFUSE:
            gone, ending = answer.get("gone"), answer.get("ending")
            kind = ConversationGoneError if gone else NotTakenError if ending else ProtocolError
            raise kind(str(answer.get("reason", "the other end refused, without a reason")))
        if frame.kind is not Kind.WELCOME:
            raise ProtocolError(f"a {frame.kind.name} frame where WELCOME was due")
        self.join(self._wanted, self._planned_number)
        self.joined.set_result(answer)

    def failed(self, error: ProtocolError) -> None:
        if not self.joined.done():
            self.joined.set_exception(error)
        super().failed(error)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self.joined.done():
            error = NotTakenError(ENDED_UNANSWERED)
            error.__cause__ = exc
            self.joined.set_exception(error)


class FarCarrier(_Carrier):
    """The end on the host: it finds the conversation that a carrier belongs to.

    Args:
        find: Gives the conversation of a token, or None if the token is new.
        begin: Begins the conversation of a token and an owner.
        about: What this end says of itself in its answer.
    """

    def __init__(
        self,
        find: Callable[[str], Conversation | None],
        begin: Callable[[str, str], Conversation],
        about: Callable[[], dict[str, Any]],
    ) -> None:
        super().__init__()
        self._find = find
        self._begin = begin
        self._about = about

    def agree(self, frame: Frame) -> None:
        hello = _payload(frame)
        if frame.kind is not Kind.HELLO or hello.get("protocol") != PROTOCOL_VERSION:
            raise ProtocolError(f"{OTHER_VERSION}{PROTOCOL_VERSION}, and was greeted in {hello.get('protocol')!r}")
        try:
            token, number = str(hello["conversation"]), int(hello["carrier"])
            owner, resume = str(hello["owner"]), bool(hello["resume"])
            alive = [int(each) for each in hello["alive"] if int(each) != number]
            interval, tries = hello["keepalive"]
            # Twice as patient as the near end, which is the one that can make another carrier.
            self.keepalive = Keepalive(max(0.05, float(interval)) * 2, max(1, int(tries)))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ProtocolError("a HELLO frame that lacks something") from error
        if len(token) < 32:
            raise ProtocolError("a HELLO frame whose conversation has no secret")
        if len(owner) > MAX_OWNER:
            raise ProtocolError(f"the name of an owner may have {MAX_OWNER} characters")
        conversation = self._find(token)
        if conversation is None:
            if resume:
                # Never a new one in its place: the streams that shall go on are unknown here.
                raise ConversationGoneError("the conversation is not known here any more")
            conversation = self._begin(token, owner)
        elif conversation.ended is not None:
            raise ConversationGoneError(f"the conversation has ended: {conversation.ended}")
        conversation.keep_only(alive)
        self.send([encode(Kind.WELCOME, payload=json.dumps({"protocol": PROTOCOL_VERSION, **self._about()}).encode())])
        self.join(conversation, number)

    def failed(self, error: ProtocolError) -> None:
        refusal = {
            "reason": error.what,
            "gone": isinstance(error, ConversationGoneError),
            "ending": isinstance(error, NotTakenError),
        }
        self.send([encode(Kind.REFUSE, payload=json.dumps(refusal).encode())])
        if self._transport is not None:
            self._transport.close()


def _first_frame(head: bytearray) -> tuple[Frame, bytes] | None:
    """Split a carrier's first bytes into its first frame and the rest, or give None if the frame is not complete."""
    if len(head) < HEADER.size:
        return None
    length = HEADER.unpack_from(head)[3]
    if length > MAX_CONTROL_PAYLOAD:
        raise ProtocolError(f"a first frame of {length} bytes is longer than allowed")
    if len(head) < HEADER.size + length:
        return None
    frames = list(FrameReader().read(bytes(head[: HEADER.size + length])))
    if len(frames) != 1:
        raise ProtocolError("the first frame is no greeting")
    return frames[0], bytes(head[HEADER.size + length :])


def _payload(frame: Frame) -> dict[str, Any]:
    payload = bytes(frame.payload)
    if payload.count(b"[") + payload.count(b"{") > MAX_BRACKETS:
        raise ProtocolError("a greeting that nests too deep")
    try:
        data = json.loads(payload)
    except ValueError as error:
        raise ProtocolError("a greeting that cannot be read") from error
    if not isinstance(data, dict):
        raise ProtocolError("a greeting that cannot be read")
    return data
