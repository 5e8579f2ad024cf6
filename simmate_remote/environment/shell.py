"""Scripts on the host: plain POSIX ``sh``, whatever the login shell is and whatever it prints by itself.

A script arrives on stdin, since the login shell parses the command line by its own rules; what a script reads from
stdin follows it. What it prints begins after a line that nobody else can print.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.resources
import itertools
import secrets
import shlex
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import paramiko

from simmate_remote.environment.login import Login
from simmate_remote.errors import LinkLostError, Remedy, SetupError
from simmate_remote.link import refusals
from simmate_remote.link.text import printable

MAX_OUTPUT = 8 * 1024 * 1024
"""Bytes of a script's stdout that are kept."""

MAX_ERRORS = 64 * 1024
"""The same of its stderr."""

_BLOCK = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """What became of a script.

    Args:
        status: Its exit status.
        lines: What it printed.
        errors: The end of what it wrote to stderr.
    """

    status: int
    lines: list[str]
    errors: str

    def values(self, key: str) -> list[str]:
        """Give what follows a word at the beginning of a line, of each such line."""
        return [line[len(key) + 1 :] for line in self.lines if line.startswith(f"{key} ")]

    def value(self, key: str) -> str:
        """Give what follows a word in the first line that begins with it; empty if there is none."""
        return next(iter(self.values(key)), "")


class Shell:
    """Runs scripts over one login.

    Args:
        login: The login.
        folder: Our folder on the host; ``~`` is the home there.
    """

    def __init__(self, login: Login, folder: str) -> None:
        self.hop = login.hop
        self._login = login
        self._folder = folder

    @property
    def host(self) -> str:
        """The host's name, for messages."""
        return self.hop.destination.host

    def run(self, name: str, /, *, seconds: float, feed: Iterable[bytes] = (), **variables: str) -> Answer:
        """Run one of our scripts there, in our folder if it asks for that.

        Args:
            name: Of the script, in ``scripts``.
            seconds: How long it may be silent.
            feed: What it reads from stdin.
            variables: What it finds in shell variables.

        Raises:
            ForbiddenByServerError: The server runs no command.
            LinkLostError: The link was lost, or the script fell silent.
            SetupError: The login shell there did not run it.
        """
        nonce = secrets.token_hex(16)
        text = _text(name, {**variables, "folder": self._folder, "nonce": nonce}).encode()
        # The command line has no character that any login shell would take for something else.
        command = f"exec /bin/sh -c 'eval \"$(dd bs=1 count={len(text)} 2>/dev/null)\"'"
        try:
            with self._login.open_channel() as channel:
                channel.settimeout(seconds)
                with _no_longer_than(seconds, channel):
                    channel.exec_command(command)
                _feed(channel, itertools.chain([text], feed))
                output = _read(channel.recv, MAX_OUTPUT)
                errors = _read(channel.recv_stderr, MAX_ERRORS)
                with _no_longer_than(seconds, channel):
                    status = channel.recv_exit_status()
        except paramiko.ChannelException as error:
            raise refusals.command_forbidden(self.hop, printable(error.text)) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(name, error) from error
        _, began, rest = output.partition(f"\n{nonce}\n".encode())
        said = printable(errors.decode(errors="replace"))
        if not began:
            raise SetupError(
                f"the login works, but no script runs there (exit status {status})",
                host=self.host,
                meanwhile="nothing was changed there",
                remedies=(Remedy(f"{self.hop.ssh()} /bin/sh -c true", "shows whether commands may be run there"),),
                detail="\n".join(filter(None, [printable(output.decode(errors="replace"))[-2000:], said[-2000:]])),
            )
        return Answer(status, rest.decode(errors="surrogateescape").splitlines(), said)

    def failed(self, what: str, answer: Answer) -> SetupError:
        """Say that a step failed there, with its own words."""
        return SetupError(
            what,
            host=self.host,
            meanwhile="the environment that was there before, if any, is as it was",
            remedies=(
                Remedy(f"simmate-remote setup {shlex.quote(self.host)}", "goes on from here, once it is mended"),
            ),
            detail="\n".join([*answer.values("said"), answer.errors])[-3000:],
        )

    def _lost(self, name: str, error: Exception) -> LinkLostError:
        silent = isinstance(error, TimeoutError)
        return LinkLostError(
            f"the host fell silent while `{name}` ran there"
            if silent
            else f"the link was lost while `{name}` ran there: {printable(str(error)) or type(error).__name__}",
            host=self.host,
            meanwhile="what has arrived there is kept, and the environment that was there before is as it was",
            remedies=(Remedy(f"simmate-remote setup {shlex.quote(self.host)}", "goes on from there"),),
        )


def _text(name: str, variables: dict[str, str]) -> str:
    lines = [f"{key}={shlex.quote(value)}" for key, value in variables.items()]
    return "\n".join([*lines, _script("begin"), _script(name)])


@functools.cache
def _script(name: str) -> str:
    return (importlib.resources.files(__package__) / "scripts" / f"{name}.sh").read_text()


@contextlib.contextmanager
def _no_longer_than(seconds: float, channel: paramiko.Channel) -> Iterator[None]:
    """End what paramiko waits for without a limit of its own: a channel that is closed answers at once."""
    over = threading.Event()

    def end() -> None:
        over.set()
        # It is closed here first, which ends the waiting; that the server cannot be told any more is no second error.
        with contextlib.suppress(EOFError, OSError, paramiko.SSHException):
            channel.close()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except paramiko.SSHException:
        if not over.is_set():
            raise
    finally:
        timer.cancel()
    if over.is_set():
        raise TimeoutError


def _feed(channel: paramiko.Channel, pieces: Iterable[bytes]) -> None:
    """Send what a script reads; one that ends early says itself why."""
    try:
        for piece in pieces:
            channel.sendall(piece)
        channel.shutdown_write()
    except TimeoutError:
        raise
    except OSError:
        if not channel.get_transport().is_active():
            raise


def _read(receive: Callable[[int], bytes], at_most: int) -> bytes:
    """Read all, and keep the end of it; nobody there decides how much memory is used here."""
    kept = bytearray()
    while piece := receive(_BLOCK):
        kept += piece
        del kept[:-at_most]
    return bytes(kept)
