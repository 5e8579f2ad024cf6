"""Questions of a login, asked in the terminal that this process belongs to."""

from __future__ import annotations

import asyncio
import getpass
import os

from simmate_remote.link import Prompt

TERMINAL = "/dev/tty"


def has_terminal() -> bool:
    """Say whether there is a person at a terminal, whatever stdin and stdout are."""
    try:
        os.close(os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def ask_terminal(prompt: Prompt) -> str | None:
    """Ask, and give the answer; None when the person ends the input."""
    return await asyncio.to_thread(_ask, prompt)


def _ask(prompt: Prompt) -> str | None:
    try:
        with open(TERMINAL, "r+b", buffering=0) as terminal:
            if prompt.detail:
                terminal.write(prompt.detail.rstrip().encode() + b"\n")
            if not prompt.echo:
                return getpass.getpass(prompt.text)
            terminal.write(prompt.text.encode())
            answer = terminal.read(4096)
            return answer.decode(errors="replace").rstrip("\n") if answer else None
    except EOFError:
        return None
