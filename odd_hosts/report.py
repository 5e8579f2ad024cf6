"""The page in docs/ that the table goes to."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from odd_hosts.journey import Journey

DOCUMENT = Path(__file__).parents[1] / "docs/odd-hosts.md"
LONGEST_REASON = 160

HEAD = """\
# Odd hosts

What [doctor](doctor.md) says of hosts that are not like this machine, and what becomes of [setup](setup.md),
`connect` and `run` there. `make odd-hosts` makes each of them in the lab (a real sshd behind a firewall, without
internet), types the four commands as a new user would, and writes this page. *Refused* means: with an error that says
what is missing and what to do.

The lab has one processor architecture and one libc. Which wheels `setup` chooses for others (musl, old glibc, ARM) is
shown by test_environment_platform_tags.py and test_environment_wheels.py, without such a machine: Debian has
musl itself and no Python for it, and PyPI and npm have no interpreter for it that comes without a download from
elsewhere (looked for in November 2026). A disk of 200 MB stands for a quota, since this kernel keeps none. The other
minor version is Debian's PyPy; the interpreter that is fetched is the system's own, offered as the download site would.
"""


def document(journeys: Sequence[Journey]) -> str:
    """Write the page."""
    about = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {os.cpu_count()} cores, Linux {platform.release()}, "
    about += f"Python {platform.python_version()}."
    return "\n".join([HEAD, about, "", table(journeys), ""])


def table(journeys: Sequence[Journey]) -> str:
    """Give a row for each host."""
    lines = ["| host | doctor, before | setup | connect and run | doctor, after | as it must be |", "|" + "---|" * 6]
    lines += [
        f"| {each.host.title} | {_findings(each.doctor)} | {_setup(each)} | {each.run} | "
        f"{_findings(each.after) if each.run == 'works' else '-'} | "
        f"{'yes' if not each.violations else '**no**: ' + '; '.join(each.violations)} |"
        for each in journeys
    ]
    return "\n".join(lines)


def _setup(journey: Journey) -> str:
    said = journey.setup.replace("|", "\\|")
    return f"refused: {said}" if journey.host.refused else said


def _findings(found: dict[str, str]) -> str:
    if not found:
        return "nothing"
    shortened = {name: reason.replace("|", "\\|")[:LONGEST_REASON] for name, reason in found.items()}
    return "<br>".join(f"**{name}**: {reason}" for name, reason in shortened.items())
