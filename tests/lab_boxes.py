"""Other accounts of the lab as boxes: with odd shells and homes, with passwords, or with nothing to write to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from tests.boxes import LabBox
from tests.lab import Lab
from tests.lab.accounts import Account


class AccountBox(LabBox):
    """The lab's machine as a box, for any account."""

    def __init__(self, lab: Lab, account: Account) -> None:
        self.account = account.name
        self.alias = account.alias
        super().__init__(lab)

    @classmethod
    def of(cls, lab: Lab, name: str, **account: Any) -> Self:
        """Make an account, and give its box.

        Args:
            lab: Where.
            name: Login name; the lab lives for a whole session of tests, so it is used once.
            account: For :meth:`tests.lab.Lab.account`.
        """
        return cls(lab, lab.account(name, **account))

    def outside(self, path: str) -> Path:
        """Give where, on this machine, something on the box is."""
        return Path(f"/proc/{self.lab.box.init_pid}/root{path}")
