"""One login with asyncssh: what it asks us, and what we answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import asyncssh

from simmate_remote.link.base import LinkReport, Prompt
from simmate_remote.link.failures import AGREEING, LOGGING_IN
from simmate_remote.link.hop import Hop
from simmate_remote.link.keys import KeyRing
from simmate_remote.link.known_hosts import KnownHosts, Standing, Verdict
from simmate_remote.link.patience import Patience
from simmate_remote.link.questions import Questions
from simmate_remote.link.text import printable


class Login(asyncssh.SSHClient):
    """Answer asyncssh's questions during one login, and hear when the connection ends.

    Args:
        hop: The machine.
        known: What known_hosts says about it.
        keys: The keys that it may be offered.
        questions: Who knows passwords and codes.
        patience: Bounds the steps.
    """

    lost: Callable[[Exception | None], object] | None = None
    """Called with the reason when the connection has ended; set after the login."""

    def __init__(
        self,
        hop: Hop,
        known: KnownHosts,
        keys: KeyRing,
        questions: Questions,
        patience: Patience,
    ) -> None:
        self._hop = hop
        self.known = known
        self._keys = keys
        self.questions = questions
        self._patience = patience
        self._instructions = ""
        self._tries = {"password": 0, "keyboard-interactive": 0}
        self.shown_key: asyncssh.SSHKey | None = None
        self.verdict = Verdict(Standing.UNKNOWN)
        self.report = LinkReport(user=hop.settings.user, address=hop.address)
        self.offered: list[str] = []
        self.notes: list[str] = []
        self.banner = ""
        self.authenticating = False

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lost is not None:
            self.lost(exc)

    @property
    def step(self) -> str:
        """What the login was at, as in "while logging in"."""
        return self._patience.step

    # The host's key

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.shown_key = key
        self.verdict = self.known.judge(key.get_algorithm(), key.public_data)
        self._patience.begin(AGREEING)
        return self.verdict.standing is Standing.KNOWN

    # Authentication

    def begin_auth(self, username: str) -> None:
        self.authenticating = True
        self._patience.begin(LOGGING_IN)

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.banner = (self.banner + printable(msg))[:4096]

    def auth_completed(self) -> None:
        self.report.server = str(self._connection.get_extra_info("server_version", ""))

    async def public_key_auth_requested(self) -> asyncssh.SSHKeyPair | None:
        self._note_offer()
        key = await self._keys.next()
        if key is not None:
            self._begin("publickey")
        return key

    async def password_auth_requested(self) -> str | None:
        self._note_offer()
        again = "The last password was not accepted." if self._tries["password"] else ""
        if not self._may_try("password"):
            return None
        user, host = self._hop.settings.user, self._hop.settings.host
        answer = await self.questions(
            Prompt("password", f"Password of {user} at {host}: ", detail="\n".join(filter(None, [self.banner, again])))
        )
        if answer is not None:
            self._begin("password")
        return answer

    def password_change_requested(self, prompt: str, lang: str) -> tuple[str, str]:
        self.notes.append(f"the password has expired; {self._hop.ssh()} in a terminal changes it")
        return NotImplemented  # type: ignore[no-any-return]  # asyncssh's word for no

    def kbdint_auth_requested(self) -> str | None:
        self._note_offer()
        return "" if self._may_try("keyboard-interactive") else None

    async def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str] | None:
        self._begin("keyboard-interactive")
        told = "\n".join(filter(None, [self._instructions, printable(name), printable(instructions)])).strip()
        if not prompts:
            # A round without a question only tells something: it is shown with the next question.
            self._instructions = told[:4096]
            return []
        self._instructions = ""
        answers: list[str] = []
        for text, echo in prompts:
            answer = await self.questions(Prompt("code", text, echo=echo, detail=told))
            if answer is None:
                return None
            answers.append(answer)
            told = ""
        self._patience.begin(LOGGING_IN)
        return answers

    def _may_try(self, method: str) -> bool:
        if not self.questions.possible():
            note = f"{method} needs a person, and nobody can be asked"
            if note not in self.notes:
                self.notes.append(note)
            return False
        self._tries[method] += 1
        return not self.questions.declined and self._tries[method] <= self._hop.settings.number(
            "numberofpasswordprompts", 3
        )

    def _begin(self, method: str) -> None:
        if not self.report.methods or self.report.methods[-1] != method:
            self.report.methods.append(method)
        self._patience.begin(LOGGING_IN)

    def _note_offer(self) -> None:
        # asyncssh takes a method off this list when it is done with it: a list that merely got shorter is no new offer.
        offered = list(self._connection.get_server_auth_methods())
        if self.offered[-len(offered) :] != offered:
            self.offered = offered
