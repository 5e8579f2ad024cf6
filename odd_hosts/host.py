"""What an odd host is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.lab import Lab


@dataclass(frozen=True)
class Prepared:
    """A host that is there.

    Args:
        alias: What is typed after ``ssh``.
        fields: What its inventory file says besides.
        environment: Variables for the commands here.
    """

    alias: str
    fields: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OddHost:
    """One row of the table.

    Args:
        title: What is odd.
        prepare: Makes it so, until the stack closes.
        doctor: Names of the checks that must find something.
        refused: Words that ``setup`` must refuse with; empty: it works.
    """

    title: str
    prepare: Callable[[Lab, contextlib.ExitStack], Prepared]
    doctor: tuple[str, ...] = ()
    refused: str = ""
