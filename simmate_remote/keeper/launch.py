"""Bring the keeper to the host and join the first carrier: one command of the link does both."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.resources
import json
import re
import secrets
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from simmate_remote.errors import (
    ForbiddenByServerError,
    KeeperError,
    LinkLostError,
    ProtocolError,
    Remedy,
    RemotePythonError,
)
from simmate_remote.keeper.package import own_package
from simmate_remote.link.base import Destination, Link
from simmate_remote.streams.carrier import Keepalive, NearCarrier
from simmate_remote.streams.conversation import Conversation

STEP_TIMEOUT = 60.0
CANNOT_BE_RUN = (126, 127)
"""Exit statuses of a shell that could not execute its command: POSIX.1-2024, XCU 2.8.2."""
MAX_NOISE = 1024 * 1024
OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True)
class ProcessRequest:
    """A process that a new keeper starts before anything else, since it takes long to be ready.

    Args:
        name: What it is called.
        module: A module of ours.
        environment: What is added to its environment.
    """

    name: str
    module: str
    environment: dict[str, str]


@dataclass(frozen=True)
class LaunchRequest:
    """How the keeper is wanted.

    Args:
        folder: Our folder on the host; ``~`` is the home there.
        python: An interpreter, or an environment's folder, on the host; None: look for one that fits.
        lease: Seconds that a new keeper stays without a client, until it is told otherwise.
        distributions: Names of the distributions whose versions the host shall tell.
        keepalive: How a silent loss of a carrier is noticed.
        process: What a new keeper starts first.
    """

    folder: str
    python: str | None
    lease: float
    distributions: tuple[str, ...]
    keepalive: Keepalive
    process: ProcessRequest


@dataclass(frozen=True)
class Launched:
    """What answered.

    Args:
        python: Version of the host's Python.
        executable: Its path.
        hostname: What the machine calls itself.
        versions: Versions of the distributions that were asked for; None: not installed.
        started: Whether a keeper was started, or a living one was found.
    """

    python: tuple[int, int, int]
    executable: str
    hostname: str
    versions: dict[str, str | None]
    started: bool


async def launch(
    link: Link, conversation: Conversation, request: LaunchRequest, check: Callable[[Launched], None]
) -> Launched:
    """Find or start the keeper on the host, and give the conversation its first carrier.

    Args:
        link: The login.
        conversation: What the carrier shall belong to.
        request: How the keeper is wanted.
        check: Called with what the host's Python told, before anything is started there; may raise.

    Raises:
        RemotePythonError: No Python there, or one that is too old.
        ForbiddenByServerError: The server runs no command for us.
        KeeperError: Our part there failed; with its own words.
        ProtocolError: The keeper there refused the carrier, or ended before it had answered.
        LinkLostError: The link was lost meanwhile.
    """
    nonce = secrets.token_hex(16)
    transport, dialogue = await link.open_command(
        shell_command(request, nonce), lambda: Dialogue(link.destination, nonce, request.python or "python3")
    )
    try:
        package = own_package()
        code = importlib.resources.files("simmate_remote.keeper").joinpath("bootstrap.py").read_bytes()
        words = {
            "nonce": nonce,
            "folder": request.folder,
            "package": package.name,
            "lease": request.lease,
            "distributions": request.distributions,
            "process": dataclasses.asdict(request.process),
        }
        transport.write(b"%d\n" % len(code) + code + json.dumps(words).encode() + b"\n")
        found = await dialogue.hear("bootstrap")
        launched = Launched(
            tuple(found["python"]), found["executable"], found["hostname"], found["versions"], started=True
        )
        check(launched)
        if found["package"]:
            transport.write(b"go\n")
        else:
            transport.write(b"package %d\n" % len(package.content) + package.content)
        handover = await dialogue.hear("handover")
        carrier = NearCarrier(conversation, request.keepalive)
        dialogue.hand_over(carrier)
        await asyncio.wait_for(carrier.joined, STEP_TIMEOUT)
    except (ProtocolError, TimeoutError) as error:
        transport.abort()
        raise KeeperError(
            f"the keeper there did not take the connection: {error}",
            host=link.destination.host,
            meanwhile="what it holds there goes on",
            remedies=(
                Remedy(
                    f"simmate-remote connect {shlex.quote(link.destination.host)}",
                    "once more: it may just have been ending",
                ),
            ),
        ) from error
    except BaseException:
        transport.abort()
        raise
    return Launched(
        launched.python, launched.executable, launched.hostname, launched.versions, started=handover["started"]
    )


def shell_command(request: LaunchRequest, nonce: str) -> str:
    """Compose the command that finds a Python and lets it read its program from stdin.

    The user's login shell parses this text, and may be sh, bash, zsh, csh, tcsh or fish. So it is one line, in single
    quotes, without any character that means something to one of them inside single quotes; what the user chose stands
    in it as octal numbers.
    """
    stub = (
        "import sys;v=sys.version_info;sys.path[:1]=[];"
        f"v<{OLDEST_PYTHON} and sys.exit(print(chr(10)+sys.argv[1],{{}},sys.executable,chr(58),*v[:3]));"
        "exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"
    )
    nothing_found = f'{{ echo; echo "{nonce} {{}}"; exit 0; }}'
    if request.python is not None:
        script = (
            f'p=$(printf "{_in_octal(request.python)}"); case "$p" in "~/"*) p="$HOME/${{p#??}}";; esac; '
            f'[ -d "$p" ] && p="$p/bin/python"; '
        )
    else:
        minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        fits = (
            f"import sys,importlib.util as u;"
            f"sys.exit(sys.version_info[:2]<{OLDEST_PYTHON} or u.find_spec(sys.argv[1]) is None)"
        )
        script = (
            f'f=$(printf "{_in_octal(request.folder)}"); case "$f" in "~/"*) f="$HOME/${{f#??}}";; esac; '
            f'p=; o=; for q in "$f/environment/bin/python" {minor} python3 python; do '
            f'command -v "$q" >/dev/null 2>&1 || continue; o="${{o:-$q}}"; '
            f'"$q" -c "{fits}" distributed </dev/null >/dev/null 2>&1 && p="$q" && break; done; p="${{p:-$o}}"; '
        )
    script += f'command -v "$p" >/dev/null 2>&1 || {nothing_found}; exec "$p" -c "{stub}" {nonce}'
    assert "'" not in script
    assert "\n" not in script
    assert "!" not in script
    return f"exec /bin/sh -c '{script}'"


def _in_octal(text: str) -> str:
    """Spell a text for the shell's printf, so that no character of it means anything to any shell."""
    return "".join(f"\\{byte:03o}" for byte in text.encode())


class Dialogue(asyncio.Protocol):
    """Listens to the host's words between the noise of its login shell, until the carrier takes over.

    Args:
        destination: The host, for messages.
        nonce: What each word begins with.
        python: What is run there, for messages.
    """

    def __init__(self, destination: Destination, nonce: str, python: str) -> None:
        self._host = destination.host
        self._ssh = destination.ssh_command()
        self._python = python
        self._pattern = re.compile(rb"(?:^|\n)" + nonce.encode() + rb" ([^\n]*)\n")
        self._transport: asyncio.Transport | None = None
        self._kept = bytearray()
        self._words: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._successor: asyncio.Protocol | None = None
        self._lost = False

    async def hear(self, expected: str) -> dict[str, Any]:
        """Wait for the host's next word.

        Raises:
            SimmateRemoteError: Another word came, or none in time; with what the host wrote meanwhile.
        """
        try:
            word = await asyncio.wait_for(self._words.get(), STEP_TIMEOUT)
        except TimeoutError as error:
            raise KeeperError(
                f"no answer from the host for {STEP_TIMEOUT:.0f} s after login",
                host=self._host,
                remedies=(
                    Remedy(f"{self._ssh} true", "if this takes as long, a start-up file of the shell there waits"),
                ),
                detail=self._evidence(),
            ) from error
        if word is None:
            raise self._ended_early()
        if word.startswith(b"{}"):
            raise self._no_python(word[2:].decode(errors="replace").lstrip())
        data = json.loads(word)
        if data["at"] != expected:
            raise KeeperError(
                f"the keeper could not be started: {data.get('error', data)}",
                host=self._host,
                meanwhile="nothing was started there",
                remedies=(
                    Remedy(f"{self._ssh} 'df -h ~; ls -ld ~'", "shows whether the disk is full, and whose the home is"),
                    Remedy(f"simmate-remote hosts show {self._host}", "`folder:` names another place for our files"),
                ),
                detail=self._evidence(),
            )
        return cast(dict[str, Any], data)

    def hand_over(self, successor: asyncio.Protocol) -> None:
        """Let another protocol have the connection from now on."""
        assert self._transport is not None
        if self._lost:
            raise self._ended_early()
        self._successor = successor
        successor.connection_made(self._transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._successor is not None:
            self._successor.data_received(data)
            return
        self._kept += data
        while (match := self._pattern.search(self._kept)) is not None:
            self._words.put_nowait(bytes(match[1]))
            del self._kept[: match.end()]
        del self._kept[:-MAX_NOISE]

    def eof_received(self) -> bool | None:
        return self._successor.eof_received() if self._successor is not None else False

    def pause_writing(self) -> None:
        if self._successor is not None:
            self._successor.pause_writing()

    def resume_writing(self) -> None:
        if self._successor is not None:
            self._successor.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._successor is not None:
            self._successor.connection_lost(exc)
        self._words.put_nowait(None)

    def _evidence(self) -> str | None:
        assert self._transport is not None
        errors = bytes(self._transport.get_extra_info("stderr") or b"")
        text = (bytes(self._kept) + errors).decode(errors="replace").strip()
        return text[-2000:] or None

    def _ended_early(self) -> Exception:
        assert self._transport is not None
        status = self._transport.get_extra_info("exit_status")
        if status is None:
            return LinkLostError("the connection was lost while the keeper was being started", host=self._host)
        if status in CANNOT_BE_RUN:
            return self._no_python(f"{self._python} : ")
        return ForbiddenByServerError(
            f"the login works, but the command that starts the keeper ended at once (exit status {status})",
            host=self._host,
            meanwhile="nothing was started there",
            remedies=(Remedy(f"{self._ssh} /bin/sh -c true", "shows whether commands may be run there at all"),),
            detail=self._evidence(),
        )

    def _no_python(self, found: str) -> RemotePythonError:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        if not found:
            what = "no Python was found there"
        else:
            path, _, version = found.rpartition(" : ")
            what = f"the Python there is too old: {path} is {version.strip().replace(' ', '.')}, and {oldest} is needed"
            if not version.strip():
                what = f"the Python there does not run: {path}"
        return RemotePythonError(
            what,
            host=self._host,
            meanwhile="nothing was started there",
            detail=self._evidence(),
            remedies=(
                Remedy(f"simmate-remote hosts show {self._host}", "`python:` names another interpreter or environment"),
                Remedy(f"{self._ssh} 'ls /usr/bin/python3*'", "shows what is installed there"),
            ),
        )
