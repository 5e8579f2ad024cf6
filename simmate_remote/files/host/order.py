"""What is to be done, as the near end asks for it, and what became of it.

No dataclasses here: somebody waits for every import of the host's part.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from simmate_remote.errors import ProtocolError

KEPT = 1000
"""Problems, and names of a dry run, that are kept; more are only counted."""


class Order(NamedTuple):
    """A transfer, as both ends know it.

    Args:
        direction: ``push``, from the near end to the host, or ``pull``.
        paths: What is sent, at the sender's end.
        to: The folder that it goes into, at the receiver's end; empty: the home, or the current folder of the near end.
        dry_run: Whether only to say what would be sent.
        checksum: Whether files of the same size are compared by their content, and not by their time.
    """

    direction: Literal["push", "pull"]
    paths: tuple[str, ...]
    to: str = ""
    dry_run: bool = False
    checksum: bool = False

    def packed(self) -> bytes:
        """Write it down; names that are not UTF-8 survive, and there may be a hundred thousand of them."""
        return json.dumps(self._asdict()).encode()

    @classmethod
    def unpacked(cls, content: memoryview) -> Order:
        """Read it.

        Raises:
            ProtocolError: It is none.
        """
        words = read_json(content)
        try:
            return cls(**{**words, "paths": tuple(map(str, words["paths"]))})
        except (KeyError, TypeError) as error:
            raise ProtocolError("what is to be done cannot be read") from error


class Problem(NamedTuple):
    """Something that was not copied, or not whole.

    Args:
        path: What.
        what: Why not, without a full stop.
        failed: Whether it should have been; otherwise it is only said.
    """

    path: str
    what: str
    failed: bool = True


class Tally:
    """What a transfer has done so far; one thread writes it, any may read it.

    Attributes:
        files: Files that are complete now.
        unchanged: Files that needed nothing.
        links: Links that were made.
        folders: Folders that were made.
        travelled: Bytes of content that travelled.
        wanted_files: Files that the receiver has asked for until now.
        wanted_bytes: Bytes that these have.
        failed: Things that should have been copied, and were not.
        noted: Things that are said of others.
        problems: Both, as many as are kept.
        would: In a dry run: names and sizes of the files that would be sent, as many as are kept.
        given_up: Whether nobody waits for it any more.
    """

    def __init__(self) -> None:
        self.files = self.unchanged = self.links = self.folders = 0
        self.travelled = self.wanted_files = self.wanted_bytes = 0
        self.failed = self.noted = 0
        self.problems: list[Problem] = []
        self.would: list[tuple[str, int]] = []
        self.given_up = False

    def go_on(self) -> None:
        """See whether there is somebody who waits, before the next piece of what takes long.

        Raises:
            EOFError: There is nobody.
        """
        if self.given_up:
            raise EOFError("nobody waits for it any more")

    def add(self, problem: Problem) -> None:
        """Take note of a problem."""
        if problem.failed:
            self.failed += 1
        else:
            self.noted += 1
        if len(self.problems) < KEPT:
            self.problems.append(problem)

    def foresee(self, path: str, size: int) -> None:
        """Take note of a file that a dry run would send."""
        self.files += 1
        self.travelled += size
        if len(self.would) < KEPT:
            self.would.append((path, size))

    def packed(self) -> bytes:
        """Write the receiver's numbers down."""
        return json.dumps({name: getattr(self, name) for name in _TOLD}).encode()

    def learn(self, content: memoryview) -> None:
        """Take over the receiver's numbers."""
        words = read_json(content)
        if not isinstance(words, dict) or not all(isinstance(words.get(name), int) for name in _TOLD):
            raise ProtocolError("what became of it cannot be read")
        for name in _TOLD:
            setattr(self, name, words[name])


LONGEST = 2000
"""Characters of a path, or of a reason, that are told."""

_TOLD = ("files", "unchanged", "links", "folders")


def pack_problem(problem: Problem) -> bytes:
    """Write a problem down."""
    return json.dumps([problem.path[-LONGEST:], problem.what[:LONGEST], problem.failed]).encode()


def unpack_problem(content: memoryview) -> Problem:
    """Read a problem."""
    words = read_json(content)
    if not isinstance(words, list) or len(words) != 3:
        raise ProtocolError("a problem cannot be read")
    return Problem(str(words[0]), str(words[1]), bool(words[2]))


def read_json(content: memoryview) -> Any:
    """Read JSON of the other end.

    Raises:
        ProtocolError: It is none.
    """
    try:
        return json.loads(bytes(content))
    except (ValueError, RecursionError) as error:
        raise ProtocolError("what the other end says cannot be read") from error


def shown(path: bytes | Sequence[bytes]) -> str:
    """Give a path, or the names that lead to it, as text from which its bytes can be had again."""
    return os.fsdecode(path if isinstance(path, bytes) else b"/".join(path))
