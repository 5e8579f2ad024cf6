"""The questions of ``ssh``, brought to the person who is asked everything else, too."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs

from simmate_remote.link.base import Prompt
from simmate_remote.link.openssh import askpass
from simmate_remote.link.openssh.trace import readable
from simmate_remote.link.questions import Questions

_LONGEST_QUESTION = 64 * 1024
_PASSWORD = re.compile(r"'s (old |new )?password: $|^Retype .*'s new password: $")
_SECRET_OF_KEY = re.compile(r"^Enter (passphrase|PIN) for ")
_WHO_ASKS = re.compile(r"^\([^()\s]+@[^()\s]+\) ")  # what ssh puts before a server's question


class Asker:
    """Answers what ``ssh`` asks through its askpass program.

    Args:
        folder: For the socket, which only its user can reach.
        questions: Who knows the answers.
        told: Gives what ssh has printed since the last question.
        about_host_key: Gives the lines to show with an unknown key, from ssh's own ones.

    Attributes:
        given_up: Set when a password or code is not to be had: ssh would send an empty one instead.
    """

    def __init__(
        self, folder: Path, questions: Questions, told: Callable[[], str], about_host_key: Callable[[str], str]
    ) -> None:
        self._socket = folder / "ask"
        self._questions = questions
        self._told = told
        self._about_host_key = about_host_key
        self._asked: set[str] = set()
        self._asking: set[asyncio.Task[None]] = set()
        self.given_up = asyncio.Event()
        self.host_key_declined = False

    async def start(self) -> dict[str, str]:
        """Listen, and give the environment variables that lead ssh here.

        Raises:
            OSError: The program cannot be installed.
        """
        self._server = await asyncio.start_unix_server(self._accept, self._socket, limit=_LONGEST_QUESTION)
        self._socket.chmod(0o600)
        try:
            program = await asyncio.to_thread(_install_program)
        except BaseException:
            await self.stop()
            raise
        return {
            "SSH_ASKPASS": str(program),
            "SSH_ASKPASS_REQUIRE": "force",
            # Before OpenSSH 8.4, this is what lets ssh use such a program; nothing is shown anywhere.
            "DISPLAY": os.environ.get("DISPLAY") or "none:0",
            askpass.VARIABLE: str(self._socket),
        }

    async def stop(self) -> None:
        """Answer nothing any more."""
        self._server.close()
        for task in self._asking:
            task.cancel()
        if self._asking:
            await asyncio.wait(self._asking)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _user_of(writer.get_extra_info("socket")) != os.getuid():
                return
            question = json.loads(await reader.readline())
            answering = asyncio.create_task(self._answer(str(question["text"]), str(question["hint"])))
            # ssh ends the program when the question is no longer one: a key was touched, or the server gave up.
            gone = asyncio.create_task(reader.read())
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            answering.cancel()
            await asyncio.wait({answering})
            if self._questions.error is not None:
                self.given_up.set()
            elif not answering.cancelled():
                writer.write(json.dumps(answering.result()).encode() + b"\n")
        except (OSError, ValueError, KeyError, TypeError):
            return  # no question of ssh's; it gets no answer
        finally:
            writer.close()

    async def _answer(self, text: str, hint: str) -> str | None:
        if hint == "none":
            with self._questions.waiting():
                await self._questions.tell(Prompt("notice", text))
                await asyncio.Event().wait()
        if hint == "confirm":
            answer = await self._questions(Prompt("code", f"{text} (yes or no) ", echo=True))
            return answer if answer == "yes" else None
        if "(yes/no" in text or text.startswith("Please type 'yes'"):
            return await self._judge_host_key(text)
        text, told = readable(text), self._told()
        if _SECRET_OF_KEY.search(text):
            again = "This was not the passphrase." if text in self._asked else ""
            self._asked.add(text)
            what = text.removeprefix("Enter ")
            return await self._questions(Prompt("passphrase", what[:1].upper() + what[1:], detail=again))
        if _PASSWORD.search(text):
            again = "The last password was not accepted." if text in self._asked else ""
            self._asked.add(text)
            prompt = Prompt("password", text, detail="\n".join(filter(None, [told, again])))
        else:
            prompt = Prompt("code", _WHO_ASKS.sub("", text), detail=told)
        answer = await self._questions(prompt)
        if answer is None:
            self.given_up.set()
            await asyncio.Event().wait()  # until ssh is ended
        return answer

    async def _judge_host_key(self, text: str) -> str:
        lines = text.rstrip().splitlines()
        prompt = Prompt(
            "host-key",
            "Is this the right key (yes or no)? ",
            echo=True,
            detail=self._about_host_key("\n".join(lines[:-1])),
        )
        answer = await self._questions(prompt)
        if answer is not None and answer.strip().lower() == "yes":
            return "yes"
        self.host_key_declined = True
        return "no"


def _install_program() -> Path:
    """Give the askpass program, which ssh runs by its path alone, without arguments of ours."""
    text = f'#!/bin/sh\nexec {shlex.join([sys.executable, "-I", "-S", askpass.__file__])} "$@"\n'
    # Not among the sockets: programs in /tmp may not be run everywhere.
    folder = platformdirs.user_state_path("simmate-remote")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "askpass"
    try:
        if path.read_text() == text and os.access(path, os.X_OK):
            return path
    except OSError:
        pass
    # Two logins may do this at once, in threads of one process too.
    handle, new = tempfile.mkstemp(prefix="askpass-", dir=folder)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        os.fchmod(handle, 0o700)
    os.replace(new, path)
    return path


def _user_of(connection: socket.socket) -> int:
    """Return who is at the other end of a Unix socket."""
    if hasattr(socket, "SO_PEERCRED"):
        return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])
    # macOS: LOCAL_PEERCRED gives a struct xucred, which begins with its version and the user.
    return int(struct.unpack("2I", connection.getsockopt(0, 1, 76)[:8])[1])
