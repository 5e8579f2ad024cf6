"""What ``ssh -v`` prints, understood: how far a login has come, and what was said on the way."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from simmate_remote.link.failures import AGREEING, CONNECTING, GREETING, LOGGING_IN
from simmate_remote.link.text import printable

_KEPT = 200  # lines of each kind
_DEBUG = re.compile(r"debug[123]: ")
_BEFORE_GREETING = re.compile(r"kex_exchange_identification: banner line \d+: (.*)")
_OFFERED_KEY = re.compile(r"(?P<path>.*) (?P<key>\S+ SHA256:\S+)(?P<origin>.*)")
_ESCAPED = re.compile(r"\\[0-7]{3}")  # how ssh shows the bytes that could steer a terminal
_NOT_SAID = re.compile(
    r"OpenSSH_\d|Warning: Permanently added |Permission denied, please try again"
    r"|[^@\s]*@\S+: Permission denied \(|Pseudo-terminal will not"
)


@dataclass
class Stage:
    """What one machine on the way has shown so far.

    Args:
        step: What is being waited for.
        greeted: Whether an SSH server answered.
        server: Its version string.
        key: Algorithm and fingerprint of its key.
        tried: Authentication methods, in order.
        offered: Methods that it still offers.
        keys: The keys that it was shown, described.
        accepted_key: Whether it would have taken one of them.
        said: Lines that ssh or the server printed, warnings and banners.
    """

    step: str = CONNECTING
    greeted: bool = False
    server: str = ""
    key: str = ""
    tried: list[str] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    accepted_key: bool = False
    said: list[str] = field(default_factory=list)


class Trace(asyncio.Protocol):
    """Reads the lines; jump hosts come one after another, since each is reached through those before it.

    Args:
        hops: How many machines there are on the way.

    Attributes:
        stages: What each machine showed, up to the one that is being logged in to.
        stepped: Called when something new is being waited for.
        dialling: Called when a connection is tried, and nothing has answered yet.
        signing: Called when a key is about to sign, which may wait for a person.
        ended: Set when the program, and all that inherited its output, have ended.
    """

    def __init__(self, hops: int) -> None:
        self._hops = hops
        self.stages = [Stage()]
        self.stepped: Callable[[str], None] = lambda _: None
        self.dialling: Callable[[], None] = lambda: None
        self.signing: Callable[[], None] = lambda: None
        self.ended = asyncio.Event()
        self._transport: asyncio.BaseTransport | None = None
        self._told = 0
        self._partial = b""

    @property
    def now(self) -> Stage:
        """The machine that is being logged in to."""
        return self.stages[-1]

    @property
    def number(self) -> int:
        """Its place on the way, from 1."""
        return len(self.stages)

    def told(self) -> str:
        """Return what was said since this was last called."""
        lines = self.now.said[self._told :]
        self._told = len(self.now.said)
        return "\n".join(line for line in lines if not _NOT_SAID.match(line)).strip()

    def words(self) -> str:
        """Return all that the machine of now, or ssh about it, has said."""
        return "\n".join(line for line in self.now.said if not _NOT_SAID.match(line)).strip()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-4096:]
        for line in lines:
            self._take(readable(line.decode(errors="replace")))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._partial:
            self._take(readable(self._partial.decode(errors="replace")))
        self.ended.set()

    async def close(self) -> None:
        """Read no more."""
        if self._transport is not None:
            self._transport.close()
            await self.ended.wait()

    def _take(self, line: str) -> None:
        found = _DEBUG.match(line)
        text = line[found.end() :] if found else line
        now = self.now
        match text.split(" ")[0:2]:
            case ["Connecting", "to"] if found:
                self._step(CONNECTING)
                self.dialling()
            case ["Connection", "established."] | ["Executing", "proxy"] if found:
                self._step(GREETING)
            case ["Remote", "protocol"] if found:
                now.greeted = True
                now.server = "SSH-2.0-" + text.rpartition("remote software version ")[2]
                self._step(AGREEING)
            case ["Server", "host"] if found:
                now.key = " ".join(text.split(" ")[3:5]).rstrip(",")
            case ["Authentications", "that"] if found:
                now.offered = text.rpartition(": ")[2].split(",")
                self._step(LOGGING_IN)
            case ["Next", "authentication"] if found:
                now.tried.append(text.rpartition(": ")[2])
                self._step(LOGGING_IN)
            case ["Offering", "public"] if found:
                now.keys.append(_describe_offer(text.partition(": ")[2]))
                self._step(LOGGING_IN)
            case ["Server", "accepts"] if found:
                now.accepted_key = True
                self.signing()
            case ["Authenticated", "to"] if self.number < self._hops:
                self.stages.append(Stage())
                self._told = 0
                self._step(GREETING)
            case ["Authenticated", "to"]:
                self._step(LOGGING_IN)
            case _:
                if before := _BEFORE_GREETING.match(text):
                    now.said.append(before[1])
                elif not found:
                    now.said.append(line)
        del now.said[:-_KEPT], now.keys[:-_KEPT]

    def _step(self, step: str) -> None:
        self.now.step = step
        self.stepped(step)


def readable(text: str) -> str:
    """Return what ssh says without the characters, escaped or not, that could steer a terminal."""
    return printable(_ESCAPED.sub("", text)).strip("\n").replace("\n", " ")


def _describe_offer(text: str) -> str:
    found = _OFFERED_KEY.fullmatch(text)
    if found is None:
        return text
    agent = ", in the agent" if "agent" in found["origin"] else ""
    return f"{found['key']} ({found['path']}{agent})"
