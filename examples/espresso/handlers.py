"""What goes wrong with pw.x, and how it is mended. Each has custodian's protocol, and needs nothing of custodian."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from espresso.inputs import Value, get_value, set_values

INPUT, OUTPUT = "pw.in", "pw.out"


class PwHandler:
    """Sees a text in pw.x's output."""

    is_monitor = False
    text = ""

    def check(self, directory: str = "./") -> bool:
        """Say whether the text is there."""
        output = Path(directory, OUTPUT)
        return output.exists() and self.text in output.read_text(errors="replace")

    def correct(self, directory: str = "./") -> dict[str, Any]:
        """Change the input."""
        path = Path(directory, INPUT)
        before = path.read_text()
        changes = self.changes(before)
        after = before
        for namelist, values in changes.items():
            after = set_values(after, namelist, values)
        path.write_text(after)
        return {"errors": [self.text], "actions": [changes] if changes else None}

    def changes(self, text: str) -> dict[str, dict[str, Value]]:
        """Give the settings to change in an input, by namelist; none: there is no way."""
        raise NotImplementedError


class NotConverged(PwHandler):
    """The charge density did not converge: more steps, then weaker mixing."""

    text = "convergence NOT achieved"

    def changes(self, text: str) -> dict[str, dict[str, Value]]:
        if int(get_value(text, "electron_maxstep", "100")) < 100:
            return {"electrons": {"electron_maxstep": 100}}
        beta = float(get_value(text, "mixing_beta", "0.7"))
        return {"electrons": {"mixing_beta": beta / 2}} if beta > 0.1 else {}


class MetalWithoutSmearing(PwHandler):
    """The crystal is a metal, and its occupations were declared fixed."""

    text = "smearing is needed"

    def changes(self, text: str) -> dict[str, dict[str, Value]]:
        return {"system": {"occupations": "smearing", "smearing": "cold", "degauss": 0.02}}


class OutOfTime(PwHandler):
    """``max_seconds`` are over, and pw.x has written where it was: it goes on from there."""

    text = "Maximum CPU time exceeded"

    def changes(self, text: str) -> dict[str, dict[str, Value]]:
        return {"control": {"restart_mode": "restart"}}
