"""pw.x as a supervised task."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from xml.etree import ElementTree as ET

from espresso.crystal import Crystal
from espresso.handlers import INPUT, OUTPUT, MetalWithoutSmearing, NotConverged, OutOfTime
from espresso.inputs import Value, set_values, write_input
from simmate_remote.workflows import Resources, ShellTask

RYDBERG = 13.605693122994
"""Electronvolts (CODATA 2018)."""

PSEUDOPOTENTIALS = os.environ.get("ESPRESSO_PSEUDO", "/usr/share/espresso/pseudo")


@dataclass(frozen=True)
class Energies:
    """What pw.x found.

    Args:
        total: The energy of the last step, in eV per cell.
        steps: The energy of each step of a relaxation, in eV per cell; one for a fixed crystal.
        iterations: Self-consistency iterations of the last run of the program.
    """

    total: float
    steps: tuple[float, ...]
    iterations: int


class Pw(ShellTask[Energies]):
    """Computes a crystal's energy, with its atoms where they are or relaxed."""

    command = ("pw.x", "-in", INPUT)
    stdout = OUTPUT
    stderr = "pw.err"
    # Debian's Open MPI asks for a network even where there is nobody to talk to.
    environment = MappingProxyType({"OMPI_MCA_ess_singleton_isolated": "1"})
    resources = Resources(ranks=1, threads=1)
    handlers = (NotConverged(), MetalWithoutSmearing(), OutOfTime())
    max_corrections = 20
    remove = ("out/*.wfc*", "out/*.mix*", "out/*/wfc*")

    def setup(
        self,
        folder: Path,
        crystal: Crystal,
        calculation: Literal["scf", "relax"] = "scf",
        cutoff: float = 14.0,
        kpoints: int = 2,
        electron_steps: int = 100,
        max_seconds: float = 1e7,
    ) -> None:
        """Write the input.

        Args:
            folder: Where.
            crystal: What to compute.
            calculation: With the atoms where they are, or relaxed.
            cutoff: Of the plane waves, in Ry.
            kpoints: Along each direction.
            electron_steps: How many the self-consistency may take.
            max_seconds: After which pw.x shall stop by itself.
        """
        settings: dict[str, dict[str, Value]] = {
            "control": {"calculation": calculation, "max_seconds": max_seconds},
            "system": {"ecutwfc": cutoff},
            "electrons": {"electron_maxstep": electron_steps},
        }
        (folder / INPUT).write_text(write_input(crystal, settings, kpoints, PSEUDOPOTENTIALS))

    def workup(self, folder: Path) -> Energies:
        """Read the energies."""
        text = (folder / OUTPUT).read_text()
        steps = tuple(
            float(found) * RYDBERG for found in re.findall(r"^! +total energy += +(\S+) Ry", text, re.MULTILINE)
        )
        return Energies(steps[-1], steps, text.count("iteration #"))

    def restart(self, folder: Path) -> bool:  # type: ignore[override]
        """Go on from what pw.x saved, if it was saved as a whole."""
        try:
            ET.parse(folder / "out/pw.save/data-file-schema.xml")  # noqa: S314 - pw.x has written it
        except (OSError, ET.ParseError):
            return False
        path = folder / INPUT
        path.write_text(set_values(path.read_text(), "control", {"restart_mode": "restart"}))
        return True

    def progress(self, folder: Path) -> dict[str, float]:
        """Tell the step, the iteration and the energy."""
        text = (folder / OUTPUT).read_text(errors="replace")
        steps = re.findall(r"^!? +total energy += +(\S+) Ry", text, re.MULTILINE)
        found = {"step": float(text.count("!    total energy") + 1), "iteration": float(text.count("iteration #"))}
        return found | ({"energy": float(steps[-1]) * RYDBERG} if steps else {})
