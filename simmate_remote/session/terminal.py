"""Questions of a login, asked in the terminal that this process belongs to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import termios
from collections.abc import Iterator

from simmate_remote.link import Prompt

TERMINAL = "/dev/tty"
LONGEST_ANSWER = 4096


def has_terminal() -> bool:
    """Say whether there is a person at a terminal, whatever stdin and stdout are."""
    try:
        os.close(os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def ask_terminal(prompt: Prompt) -> str | None:
    """Ask, and give the answer; None when the person ends the input. A question that is cancelled ends at once."""
    ending, end = os.pipe()
    asking = asyncio.create_task(asyncio.to_thread(_ask, prompt, ending))
    try:
        return await asyncio.shield(asking)
    finally:
        # The thread gives the terminal its echo back; without this, Ctrl-C would wait for a line that nobody types.
        os.write(end, b"!")
        await asyncio.wait({asking})
        os.close(ending)
        os.close(end)


def _ask(prompt: Prompt, ending: int) -> str | None:
    terminal = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY)
    try:
        if prompt.detail:
            os.write(terminal, prompt.detail.rstrip().encode() + b"\n")
        if prompt.kind == "notice":
            os.write(terminal, prompt.text.encode() + b"\n")
            return None
        with _echo(terminal, wanted=prompt.echo):
            os.write(terminal, prompt.text.encode())
            ready, _, _ = select.select([terminal, ending], [], [])
            answer = os.read(terminal, LONGEST_ANSWER) if terminal in ready else b""
            if not prompt.echo or not answer:
                os.write(terminal, b"\n")
    finally:
        os.close(terminal)
    return answer.decode(errors="replace").rstrip("\n") if answer else None


@contextlib.contextmanager
def _echo(terminal: int, *, wanted: bool) -> Iterator[None]:
    """Show what is typed, or not; what was typed before the question is no answer to it."""
    before = termios.tcgetattr(terminal)
    during = list(before)
    during[3] = during[3] | termios.ECHO if wanted else during[3] & ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSAFLUSH, during)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
