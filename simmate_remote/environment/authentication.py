"""How paramiko proves who we are: with the keys, the answers and the rules of the link, so that both log in alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import asyncssh
import paramiko
from paramiko.auth_handler import AuthOnlyHandler
from paramiko.auth_strategy import AuthSource, AuthStrategy, SourceResult
from paramiko.common import cMSG_USERAUTH_REQUEST
from paramiko.transport import ServiceRequestingTransport

from simmate_remote.link import failures
from simmate_remote.link.base import Prompt
from simmate_remote.link.handshake import permitted_methods
from simmate_remote.link.hop import Hop
from simmate_remote.link.keys import KeyRing
from simmate_remote.link.questions import Questions
from simmate_remote.link.text import printable

T = TypeVar("T")
Wait = Callable[[Awaitable[T]], T]
"""Runs a coroutine in the event loop, from a thread of its own, and waits for it."""


@dataclass
class _PublicHalf:
    """What paramiko shows the server of a key: the key itself, or the certificate about it."""

    key_type: str
    key_blob: bytes


class Key(paramiko.PKey):
    """A key of the link's ring, in the form in which paramiko uses keys.

    Args:
        pair: The key; it may be in the agent, or still locked.
        wait: Runs a coroutine in the event loop.
    """

    def __init__(self, pair: asyncssh.SSHKeyPair, wait: Wait[bytes]) -> None:
        self._pair = pair
        self._wait = wait
        self.public_blob: Any = _PublicHalf(pair.get_algorithm(), pair.public_data)

    def get_name(self) -> str:
        return self._pair.get_algorithm()

    def asbytes(self) -> bytes:
        return self._pair.public_data

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> bytes:  # type: ignore[override]  # both do
        """Sign, as paramiko asks it, in its own thread."""
        if algorithm:
            self._pair.set_sig_algorithm(algorithm.encode())
        try:
            sign = getattr(self._pair, "sign_async", None)
            return self._wait(sign(data)) if sign is not None else self._pair.sign(data)
        except (ValueError, asyncssh.Error):
            # It was not unlocked, or the agent declined. An exception would end paramiko's thread, and the connection
            # with it; a signature that is none only makes the server say no to this key.
            return b""


class Strategy(AuthStrategy):
    """Try one method after another, as the configuration orders them, until the server is satisfied.

    Args:
        hop: The machine.
        keys: The keys that it may be offered.
        questions: Who knows passwords and codes.
        wait: Runs a coroutine in the event loop.

    Attributes:
        tried: Methods that were tried, in order.
        accepted: Methods that the server took, the last one or all together.
        offered: Methods that the server still takes.
        notes: What was left out, and why.
        banner: What the server said of itself.
    """

    def __init__(self, hop: Hop, keys: KeyRing, questions: Questions, wait: Wait[Any]) -> None:
        super().__init__(ssh_config=paramiko.SSHConfig())  # the hop's settings are what counts
        self._hop = hop
        self._keys = keys
        self._questions = questions
        self._wait = wait
        self.tried: list[str] = []
        self.accepted: list[str] = []
        self.offered: list[str] = []
        self.notes: list[str] = []
        self.banner = ""

    def get_sources(self) -> Iterator[AuthSource]:
        """Give nothing: what to try next depends on what the server says, so :meth:`authenticate` does it all."""
        return iter(())

    def authenticate(self, transport: paramiko.Transport) -> list[SourceResult]:
        """Log in.

        Raises:
            AuthenticationError: The server accepted nothing.
        """
        user = self._hop.settings.user
        try:
            self.offered = transport.auth_none(user)
        except paramiko.BadAuthenticationType as error:
            self.offered = list(error.allowed_types)
        self.banner = printable((transport.get_banner() or b"").decode(errors="replace"))[:4096]
        while not transport.is_authenticated():
            before = list(self.offered)
            for method in permitted_methods(self._hop):
                if method in self.offered and self._try(method, transport):
                    break
            else:
                raise self._refused()
            if not transport.is_authenticated() and self.offered == before:
                raise self._refused()
        return []

    def _try(self, method: str, transport: paramiko.Transport) -> bool:
        """Say whether a method was accepted, at least as one of several."""
        match method:
            case "publickey":
                return self._with_keys(transport)
            case "keyboard-interactive":
                return self._with_answers(transport)
            case "password":
                return self._with_password(transport)
        return False

    def _with_keys(self, transport: paramiko.Transport) -> bool:
        user = self._hop.settings.user
        while (pair := self._wait(self._keys.next())) is not None:
            if self._accepted(transport, "publickey", partial(transport.auth_publickey, user, Key(pair, self._wait))):
                return True
        return False

    def _with_password(self, transport: paramiko.Transport) -> bool:
        user, host = self._hop.settings.user, self._hop.settings.host
        again = ""
        for _ in range(self._tries("password")):
            detail = "\n".join(filter(None, [self.banner, again]))
            password = self._wait(self._questions(Prompt("password", f"Password of {user} at {host}: ", detail=detail)))
            if password is None:
                return False
            attempt = partial(transport.auth_password, user, password, fallback=False)
            if self._accepted(transport, "password", attempt):
                return True
            again = "The last password was not accepted."
        return False

    def _with_answers(self, transport: paramiko.Transport) -> bool:
        for _ in range(self._tries("keyboard-interactive")):
            attempt = partial(transport.auth_interactive, self._hop.settings.user, self._answers)
            if self._accepted(transport, "keyboard-interactive", attempt):
                return True
            if self._questions.declined:
                return False
        return False

    def _answers(self, title: str, instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
        told = "\n".join(filter(None, [printable(title), printable(instructions)])).strip()
        answers = []
        for text, echo in prompts:
            answers.append(self._wait(self._questions(Prompt("code", text, echo=bool(echo), detail=told))) or "")
            told = ""
        return answers

    def _tries(self, method: str) -> int:
        if not self._questions.possible():
            self.notes.append(f"{method} needs a person, and nobody can be asked")
            return 0
        return self._hop.settings.number("numberofpasswordprompts", 3)

    def _accepted(self, transport: paramiko.Transport, method: str, attempt: Callable[[], list[str]]) -> bool:
        if not self.tried or self.tried[-1] != method:
            self.tried.append(method)
        try:
            self.offered = attempt()
        except paramiko.BadAuthenticationType as error:
            self.offered = list(error.allowed_types)
            return False
        except paramiko.AuthenticationException as error:
            if not transport.is_active():  # it has had enough of us (MaxAuthTries)
                raise self._refused() from error
            return False
        self.accepted.append(method)
        return True

    def _refused(self) -> Exception:
        return failures.not_authenticated(
            self._hop,
            tried=self.tried,
            keys=self._keys.offered,
            offered=self.offered,
            notes=self._keys.notes + self.notes,
            words=self.banner.strip(),
            answer_needed=self._questions.unanswered,
        )


class _Handler(AuthOnlyHandler):
    """paramiko's own, which waits for ever if the answer is quicker than the thread that asked for it."""

    def send_auth_request(
        self, username: str, method: str, finish_message: Callable[[paramiko.Message], object] | None = None
    ) -> list[str]:
        self.auth_method, self.username = method, username
        message = paramiko.Message()
        message.add_byte(cMSG_USERAUTH_REQUEST)
        for word in (username, "ssh-connection", method):
            message.add_string(word)
        if finish_message is not None:
            finish_message(message)
        self.auth_event = threading.Event()
        with self.transport.lock:
            transport: Any = self.transport
            transport._send_message(message)  # noqa: SLF001 - there is no other way to send one
        return self.wait_for_response(self.auth_event)


class Transport(ServiceRequestingTransport):
    """paramiko's transport that asks for authentication once, as some servers insist, and not once for each method."""

    def get_auth_handler(self) -> AuthOnlyHandler:
        return _Handler(self)


def waiting_in(loop: asyncio.AbstractEventLoop) -> Wait[Any]:
    """Give what runs a coroutine in an event loop and waits for it, for code in another thread."""

    async def awaited(work: Awaitable[T]) -> T:
        return await work

    def wait(work: Awaitable[T]) -> T:
        return asyncio.run_coroutine_threadsafe(awaited(work), loop).result()

    return wait
