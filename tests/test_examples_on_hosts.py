"""The examples with real programs, on the lab's machine, over the tunnel; with a failure that really happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.boxes import assert_nothing_left
from tests.lab import Lab
from tests.lab.environments import PACKAGES, same_as_here
from tests.lab_boxes import AccountBox

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).parents[1] / "examples"
COMMAND = Path(sys.executable).with_name("simmate-remote")

MENDED = """
import sys
sys.path.insert(0, {examples!r})
from espresso.crystal import diamond
from espresso.pw import Pw
from simmate_remote import workflow

@workflow
def mended(folder: str) -> list:
    outcome = Pw().perform({{"crystal": diamond(), "electron_steps": 3}}, folder)
    return [outcome.attempts, [one.handler for one in outcome.corrections], outcome.data.total]
"""


class Terminal:
    """Types commands of a person who knows one host, on which ShellTask can run."""

    def __init__(self, lab: Lab, box: AccountBox, folder: Path) -> None:
        python = lab.environment(*same_as_here([*PACKAGES, "pydantic", "platformdirs", "PyYAML"]))
        host = {"ssh": box.alias, "ssh_config": str(lab.ssh_config), "python": str(python), "workers": {"count": 2}}
        (folder / "hosts").mkdir()
        (folder / "hosts/lab-box.yaml").write_text(yaml.safe_dump(host))
        self._environment = {**os.environ, "SIMMATE_REMOTE_HOSTS": str(folder / "hosts")}

    def run(self, *words: str) -> Any:
        done = subprocess.run(
            [COMMAND, "run", *words, "--on", "lab-box", "--json"],
            env=self._environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=250,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


def test_programs_over_the_tunnel(lab: Lab, tmp_path: Path) -> None:
    box = AccountBox.of(lab, "scientist")
    terminal = Terminal(lab, box, tmp_path)
    place = f"{box.home}/work"
    box.run(f"mkdir {place}")

    found = terminal.run(f"{EXAMPLES}/espresso/silicon.py:equation_of_state", f"folder={place}/eos")["result"]
    assert found["lattice_constant"] == pytest.approx(5.46, abs=0.06)
    assert found["bulk_modulus"] == pytest.approx(95, abs=15)

    (tmp_path / "mended.py").write_text(MENDED.format(examples=str(EXAMPLES)))
    attempts, handlers, energy = terminal.run(f"{tmp_path}/mended.py:mended", f"folder={place}/mended")["result"]
    assert (attempts, handlers) == (2, ["NotConverged"])
    assert energy == pytest.approx(-214.9, abs=1.0)
    assert "electron_maxstep" in box.run(f"cat {place}/mended/.simmate-remote/task.json").stdout

    molecule = EXAMPLES / "xtb/molecules/water.xyz"
    shape = terminal.run(f"{EXAMPLES}/xtb/shapes.py:shape", f"molecule={molecule}", f"folder={place}/water")
    assert shape["result"]["energy"] == pytest.approx(-138.0, abs=1.0)
    assert_nothing_left(box)
