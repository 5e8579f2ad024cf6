"""What the login allows: commands of the login shell, how many at once, and SFTP."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import Any

from simmate_remote.doctor.check import Check, Stage
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.finding import Finding
from simmate_remote.errors import ForbiddenByServerError, Remedy

SLOW = 3.0
MOST_SESSIONS = 10
CLOSING = 0.3
"""Seconds for a server to count what has ended as closed."""

ENDING = 5.0
"""Seconds for ten commands to end."""

SFTP_INIT = bytes((0, 0, 0, 5, 1, 0, 0, 0, 3))
"""SSH_FXP_INIT with version 3, the one that everybody speaks."""

SFTP_VERSION = 2
KNOWN_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "busybox", "csh", "tcsh", "fish")


class LoginShell(Check):
    """Which login shell it is, how long it takes to start, and what it prints by itself, on stdout and stderr."""

    name = "login-shell"
    title = "the login shell"
    why = (
        "what a start-up file prints breaks programs such as scp, rsync and git, and its time is added to each command"
    )
    stage = Stage.LINK
    limit = 60.0

    async def run(self, about: Examination) -> Finding:
        mark = secrets.token_hex(8)
        began = time.monotonic()
        output = await about.command(f'exec /bin/sh -c \'echo; echo "{mark} $SHELL"; echo "{mark} $HOME"; uname -sm\'')
        seconds = output.first if output.first is not None else time.monotonic() - began
        by_hand = Remedy(f"{about.ssh} true", "shows what is printed without being asked for")
        noise, found, rest = output.stdout.partition(f"\n{mark} ")
        if not found:
            said = (output.stdout + output.stderr).strip()[-500:]
            return Finding.failed(
                f"commands cannot be run there: exit status {output.status}"
                + (f", and it said: {said}" if said else ""),
                by_hand,
                why="a session is a command there; an account may be restricted to others, or to none",
                status=output.status,
            )
        shell, home, system = [*rest.splitlines(), "", "", ""][:3]
        data: dict[str, Any] = {
            "shell": shell,
            "home": home.removeprefix(f"{mark} "),
            "system": system,
            "seconds": round(seconds, 3),
            "stdout": noise.strip()[:500],
            "stderr": output.stderr.strip()[:500],
        }
        wrong = [
            f"it prints to {name}: {str(data[name]).splitlines()[0][:80]!r}"
            for name in ("stdout", "stderr")
            if data[name]
        ]
        if seconds > SLOW:
            wrong.append(f"it takes {seconds:.1f} s to start")
        kind = shell.rpartition("/")[2]
        if kind not in KNOWN_SHELLS:
            wrong.append(f"we do not know {shell or 'a shell without a name'}")
        text = f"{kind or 'unknown'}, ready after {seconds:.2f} s"
        if wrong:
            mend = Remedy(
                f"{about.ssh} 'ls -a ~'", "its start-up files; what talks there belongs behind a test for a terminal"
            )
            return Finding.warning(f"{text}; {'; '.join(wrong)}", by_hand, mend, **data)
        return Finding.ok(text, **data)


class MaxSessions(Check):
    """How many commands one login may run at once; up to ten are really started."""

    name = "max-sessions"
    title = "commands at once"
    why = "with one only, everything shares one channel, and large transfers slow down everything else"
    stage = Stage.LINK
    requires = ("login-shell",)
    limit = 30.0

    async def run(self, about: Examination) -> Finding:
        opened: list[tuple[asyncio.Transport, _Closing]] = []
        refusal: str | None = None
        try:
            # All at once first, which takes no longer than one; then one more, patiently, to believe a refusal.
            tries = (about.link.with_patience(0).open_command("exec cat", _Closing) for _ in range(MOST_SESSIONS))
            outcomes = await asyncio.gather(*tries, return_exceptions=True)
            opened += [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
            while len(opened) < MOST_SESSIONS:
                opened.append(await about.link.with_patience(CLOSING).open_command("exec cat", _Closing))
        except ForbiddenByServerError as error:
            refusal = error.what
        finally:
            await _close(opened)
        count = len(opened)
        data: dict[str, Any] = {"sessions": count, "refusal": refusal}
        if count < 2:
            return Finding.warning(
                f"{count} command at a time: the server's MaxSessions",
                Remedy(f"{about.ssh} true", "fails while a session is connected through the same ControlMaster"),
                **data,
            )
        return Finding.ok(f"{count}{' or more' if refusal is None else ''} at once", **data)


async def _close(opened: list[tuple[asyncio.Transport, _Closing]]) -> None:
    """End commands, and wait a while until they have ended."""
    for transport, _ in opened:
        transport.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENDING):
            for _, listener in opened:
                await listener.closed.wait()
    for transport, _ in opened:
        transport.abort()


class _Closing(asyncio.Protocol):
    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


class Sftp(Check):
    """Whether the server has an SFTP subsystem."""

    name = "sftp"
    title = "SFTP"
    why = "nothing of ours needs it, but sshfs, scp and file managers do"
    stage = Stage.LINK
    requires = ("login-shell",)

    async def run(self, about: Examination) -> Finding:
        transport, spoiled = None, False
        try:
            transport, listener = await about.link.with_patience(CLOSING).open_subsystem("sftp", _Sftp)
            transport.write(SFTP_INIT)
            version = await listener.version
            spoiled = version is None and listener.said != b""
        except ForbiddenByServerError:
            version = None
        finally:
            if transport is not None:
                transport.abort()
        if spoiled:
            return Finding.warning(
                "what the login shell prints spoils its answers; `push` and `pull` work all the same",
                Remedy(f"{about.ssh} true", "shows what is printed; a start-up file can be silent without a terminal"),
            )
        if version is None:
            return Finding.warning(
                "the server has none; `push` and `pull` work all the same",
                Remedy(
                    f"{about.ssh} 'grep -i sftp /etc/ssh/sshd_config'",
                    "shows whether the administrator switched it off",
                ),
            )
        return Finding.ok(f"version {version}", version=version)


class _Sftp(asyncio.Protocol):
    """Waits for the server's version (SSH_FXP_VERSION, draft-ietf-secsh-filexfer-02)."""

    def __init__(self) -> None:
        self.version: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self.said = bytearray()

    def data_received(self, data: bytes) -> None:
        self.said += data
        if len(self.said) >= 9 and not self.version.done():
            self.version.set_result(int.from_bytes(self.said[5:9], "big") if self.said[4] == SFTP_VERSION else None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.version.done():
            self.version.set_result(None)
