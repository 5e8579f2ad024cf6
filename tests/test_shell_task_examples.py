"""The examples with real programs: Quantum ESPRESSO and xtb, with failures that really happen."""

from __future__ import annotations

import importlib
import math
import os
import shutil
import sys
from pathlib import Path

import pytest

from simmate_remote.workflows.shell import Stage
from simmate_remote.workflows.shell.record import read_record
from tests.shell_tasks import in_another_process, kill, processes_in, wait_until

EXAMPLES = Path(__file__).parents[1] / "examples"
MOLECULES = EXAMPLES / "xtb" / "molecules"
sys.path.append(str(EXAMPLES))  # as `simmate-remote run FILE` does
crystal, pw, silicon, shapes = map(
    importlib.import_module, ("espresso.crystal", "espresso.pw", "espresso.silicon", "xtb.shapes")
)
Pw, diamond, displaced_diamond = pw.Pw, crystal.diamond, crystal.displaced_diamond


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """Skip where the programs are not installed, except in CI."""
    for program, package in (("pw.x", "quantum-espresso"), ("xtb", "xtb")):
        if shutil.which(program) is None:
            message = f"{program} is not there; python -m tests.lab install, or apt-get install {package}"
            if os.environ.get("CI") == "true":
                pytest.fail(f"{message} (in CI nothing is skipped)", pytrace=False)
            pytest.skip(message)


def test_the_energy_of_silicon(tmp_path: Path) -> None:
    found = silicon.scf.run(folder=str(tmp_path / "si"))
    assert found.total == pytest.approx(-214.9, abs=1.0)
    assert len(found.steps) == 1


def test_not_converged_gets_more_steps(tmp_path: Path) -> None:
    outcome = Pw().perform({"crystal": diamond(), "electron_steps": 3}, tmp_path / "si")
    assert [one.handler for one in outcome.corrections] == ["NotConverged"]
    assert "+  electron_maxstep = 100" in outcome.corrections[0].difference
    record = read_record(tmp_path / "si")
    assert record is not None
    assert record.attempts[0]["code"] == 2
    assert outcome.data.total == pytest.approx(Pw().run(tmp_path / "again", crystal=diamond()).total, abs=1e-4)


def test_a_metal_gets_its_smearing(tmp_path: Path) -> None:
    outcome = Pw().perform({"crystal": crystal.aluminium()}, tmp_path / "al")
    assert [one.handler for one in outcome.corrections] == ["MetalWithoutSmearing"]
    assert outcome.data.total == pytest.approx(-57, abs=2)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_out_of_time_goes_on_where_it_was(tmp_path: Path) -> None:
    told: list[Stage] = []
    parameters = {"crystal": displaced_diamond(), "calculation": "relax", "cutoff": 18}
    # However slow or fast this machine is today.
    enough = Pw().perform(parameters, tmp_path / "whole")
    parameters["max_seconds"] = max(1.0, enough.in_program / 3)
    outcome = Pw(max_corrections=50).perform(parameters, tmp_path / "si", tell=told.append)
    assert outcome.attempts >= 2
    assert {one.handler for one in outcome.corrections} == {"OutOfTime"}
    assert outcome.data.total == pytest.approx(enough.data.total, abs=0.01)
    energies = [stage.values["energy"] for stage in told if "energy" in stage.values]
    assert energies
    assert energies[-1] < -850


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_relaxation_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "si"
    code = (
        "sys.path.append('examples')\nfrom espresso.pw import Pw\nfrom espresso.crystal import displaced_diamond\n"
        "Pw().run(sys.argv[1], crystal=displaced_diamond(), calculation='relax')"
    )

    def between_two_checkpoints() -> bool:
        steps = (folder / "pw.out").read_text().split("!    total energy") if (folder / "pw.out").exists() else []
        return len(steps) > 3 and "iteration #  3" in steps[-1]

    with in_another_process(code, folder) as worker:
        wait_until(between_two_checkpoints, 120)
        kill(worker)
    wait_until(lambda: not processes_in(folder))
    before = (folder / "pw.out").read_text().count("!    total energy")
    outcome = Pw().perform({"crystal": displaced_diamond(), "calculation": "relax"}, folder)
    record = read_record(folder)
    assert record is not None
    assert record.attempts[0]["restart"] is True
    assert outcome.data.total == pytest.approx(-63.2656 * 13.605693, abs=0.02)
    whole = Pw().run(tmp_path / "whole", crystal=displaced_diamond(), calculation="relax")
    # Now and then it was killed while it wrote its checkpoint, cannot read it, and begins again.
    assert outcome.attempts == 2 or record.attempts[1]["restart_failed"]
    if outcome.attempts == 2:
        # How many steps are left is the program's affair: it begins to learn the way anew.
        assert outcome.data.steps[0] < whole.steps[before - 2]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_equation_of_state_of_silicon(tmp_path: Path) -> None:
    found = silicon.equation_of_state.run(folder=str(tmp_path))
    # Measured: 5.431 Å and 98 GPa; with so few plane waves and k-points the computed ones lie beside these.
    assert found.lattice_constant == pytest.approx(5.43, abs=0.1)
    assert found.bulk_modulus == pytest.approx(98, abs=20)


@pytest.mark.parametrize("name", ["water", "ammonia", "methane"])
def test_the_shapes_of_molecules(tmp_path: Path, name: str) -> None:
    found = shapes.shape.run(molecule=MOLECULES / f"{name}.xyz", folder=str(tmp_path / name))
    centre, *hydrogens = found.atoms
    lengths = [math.dist(centre[1:], atom[1:]) for atom in hydrogens]
    expected = {"water": 0.959, "ammonia": 1.01, "methane": 1.09}[name]
    assert lengths == pytest.approx([expected] * len(lengths), abs=0.02)


def test_an_optimisation_that_stops_too_early_without_saying_so_by_its_exit_code(tmp_path: Path) -> None:
    parameters = {"molecule": MOLECULES / "water.xyz", "cycles": 1}
    outcome = shapes.Optimize().perform(parameters, tmp_path / "water")
    assert {one.handler for one in outcome.corrections} == {"NotOptimized"}
    record = read_record(tmp_path / "water")
    assert record is not None
    assert {one["code"] for one in record.attempts} == {0}
    whole = shapes.Optimize().run(tmp_path / "whole", molecule=MOLECULES / "water.xyz")
    assert outcome.data.energy == pytest.approx(whole.energy, abs=1e-3)
