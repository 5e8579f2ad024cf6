"""The way of a new user: doctor, setup, connect, run; as commands, with what they say."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from odd_hosts.host import OddHost, Prepared
from tests.lab import Lab

COMMAND = Path(sys.executable).with_name("simmate-remote")
PI = Path(__file__).parents[1] / "examples/pi.py"
JUDGE_THE_MACHINE = {"load", "memory", "users", "cores"}
"""Checks that tell of the machine that the lab runs on, and how busy it is."""

LONGEST = 300


@dataclass
class Journey:
    """What happened at one host.

    Args:
        host: The host.
        doctor: What doctor found wrong, before setup: name of the check, and reason.
        after: The same after setup.
        setup: What setup said.
        run: What connect and run said.
        violations: What was not as it must be.
    """

    host: OddHost
    doctor: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    setup: str = ""
    run: str = ""
    violations: list[str] = field(default_factory=list)


def travel(host: OddHost, lab: Lab, folder: Path) -> Journey:
    """Go all the way with one host.

    Args:
        host: Which.
        lab: Where it is made.
        folder: An empty folder for its inventory.
    """
    journey = Journey(host)
    with contextlib.ExitStack() as stack:
        prepared = host.prepare(lab, stack)
        person = Person(prepared, lab, folder)
        journey.doctor = person.doctor()
        missed = set(host.doctor) - set(journey.doctor)
        if missed:
            journey.violations.append(f"doctor did not find {', '.join(sorted(missed))}")
        code, said = person.json("setup", "odd", "--only", "simmate-remote")
        journey.setup = _in_words(said)
        if host.refused:
            if code == 0 or host.refused not in journey.setup:
                journey.violations.append(f"setup was to be refused with {host.refused!r}")
            journey.run = "-"
            return journey
        if code:
            journey.violations.append("setup failed")
            journey.run = "-"
            return journey
        stack.callback(person.json, "setup", "odd", "--remove")
        journey.run = person.compute(journey.violations)
        journey.after = person.doctor()
    return journey


class Person:
    """Types commands.

    Args:
        prepared: The host.
        lab: Where it is.
        folder: For the inventory.
    """

    def __init__(self, prepared: Prepared, lab: Lab, folder: Path) -> None:
        text = {"ssh": prepared.alias, "ssh_config": str(lab.ssh_config), **prepared.fields}
        (folder / "odd.yaml").write_text(yaml.safe_dump(text))
        self._environment = {**os.environ, **prepared.environment, "SIMMATE_REMOTE_HOSTS": str(folder)}

    def json(self, *words: str) -> tuple[int, Any]:
        """Type a command, and give its exit code and what it says."""
        done = subprocess.run(
            [COMMAND, *words, "--json"],
            env=self._environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else {"what": done.stderr[-500:]}

    def doctor(self) -> dict[str, str]:
        """Give what doctor finds wrong."""
        _, found = self.json("doctor", "odd")
        wrong = [each for each in found["findings"] if each["status"] in ("warning", "failed")]
        return {each["check"]: each["reason"] for each in wrong if each["check"] not in JUDGE_THE_MACHINE}

    def compute(self, violations: list[str]) -> str:
        """Connect, run, leave; give what was computed."""
        code, said = self.json("connect", "odd")
        if code:
            violations.append("connect failed")
            return _in_words(said)
        try:
            code, said = self.json("run", f"{PI}:estimate", "samples=1000", "--on", "odd")
            if code:
                violations.append("run failed")
                return _in_words(said)
            return "works"
        finally:
            self.json("disconnect", "odd", "--stop")


def _in_words(said: Any) -> str:
    """Give the sentence in what a command says."""
    report: Mapping[str, Any] = said[0] if isinstance(said, list) else said
    for name in ("what", "error"):
        if isinstance(report.get(name), Mapping):
            return _in_words(report[name])
        if isinstance(report.get(name), str) and " " in report[name]:
            return re.sub(r"\s+", " ", report[name])
    return "ready"
