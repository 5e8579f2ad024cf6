"""Questions in a terminal: what is shown, what is not, and how they end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest

SCRIPT = """
import asyncio, os, sys
os.open(sys.argv[1], os.O_RDWR)  # the first terminal that a new session opens is its own
from simmate_remote.link import Prompt
from simmate_remote.session.terminal import ask_terminal, has_terminal
assert has_terminal()
print(asyncio.run(ask_terminal(Prompt("password", "Secret? ", echo=sys.argv[2] == "echo", detail="Hello"))))
"""


class Person:
    """Sits at a terminal in which a question is asked."""

    def __init__(self) -> None:
        self.terminal, self.other_end = os.openpty()
        self.screen = ""

    def start(self, echo: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, os.ttyname(self.other_end), echo],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        self.read_until("Secret? ")

    def read_until(self, text: str) -> None:
        while text not in self.screen:
            ready, _, _ = select.select([self.terminal], [], [], 20)
            assert ready, f"the screen shows {self.screen!r}"
            self.screen += os.read(self.terminal, 1000).decode()

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def ended(self) -> tuple[str, int]:
        out, _ = self.process.communicate(timeout=20)
        return out.strip(), self.process.returncode

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.other_end)[3] & termios.ECHO)


@pytest.fixture
def person() -> Iterator[Person]:
    person = Person()
    yield person
    person.process.kill()
    person.process.communicate()
    os.close(person.terminal)
    os.close(person.other_end)


def test_a_secret_is_not_shown(person: Person) -> None:
    person.start("secret")
    assert not person.echoes()
    person.type("pass wörd\n")
    assert person.ended() == ("pass wörd", 0)
    person.read_until("Secret? \r\n")
    assert person.screen == "Hello\r\nSecret? \r\n"
    assert person.echoes()


def test_what_is_no_secret_is_shown(person: Person) -> None:
    person.start("echo")
    person.type("yes\n")
    assert person.ended() == ("yes", 0)
    person.read_until("Secret? yes\r\n")


def test_end_of_input_is_no_answer(person: Person) -> None:
    person.start("secret")
    person.type("\x04")
    assert person.ended() == ("None", 0)
    assert person.echoes()


def test_ctrl_c_ends_the_question_at_once(person: Person) -> None:
    person.start("secret")
    person.type("half")
    person.type("\x03")
    out, code = person.ended()
    assert (out, code) == ("", -signal.SIGINT)
    assert person.echoes()
