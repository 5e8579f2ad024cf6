"""Geometry optimisation of molecules with GFN2-xTB.

C. Bannwarth, S. Ehlert, S. Grimme, J. Chem. Theory Comput. 15, 1652 (2019).
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simmate_remote.workflows import Resources, ShellTask, workflow

HARTREE = 27.211386245988
"""Electronvolts (CODATA 2018)."""

MOLECULE, SETTINGS, OUTPUT, RESULT = "molecule.xyz", "xtb.inp", "xtb.out", "xtbopt.xyz"


@dataclass(frozen=True)
class Shape:
    """A molecule in the shape of its lowest energy.

    Args:
        energy: In eV.
        atoms: The element and the place, in Å, of each atom.
    """

    energy: float
    atoms: tuple[tuple[str, float, float, float], ...]


class NotOptimized:
    """xtb says so, and ends with exit code 0: goes on from where it stopped, with more cycles."""

    is_monitor = False

    def check(self, directory: str = "./") -> bool:
        """Say whether the optimisation has stopped before its end."""
        return "FAILED TO CONVERGE GEOMETRY OPTIMIZATION" in Path(directory, OUTPUT).read_text(errors="replace")

    def correct(self, directory: str = "./") -> dict[str, Any]:
        """Take the last shape as the first, and double the cycles."""
        settings = Path(directory, SETTINGS)
        cycles = 2 * int(re.findall(r"maxcycle=(\d+)", settings.read_text())[0])
        settings.write_text(settings_of(cycles))
        shutil.copyfile(Path(directory, RESULT), Path(directory, MOLECULE))
        return {"errors": ["not optimised"], "actions": [{"maxcycle": cycles}]}


class Optimize(ShellTask[Shape]):
    """Finds the shape of a molecule."""

    command = ("xtb", MOLECULE, "--input", SETTINGS, "--opt")
    stdout = OUTPUT
    stderr = "xtb.err"
    resources = Resources(cores=1)
    handlers = (NotOptimized(),)
    remove = ("xtbrestart", "xtbtopo.mol", "charges", "wbo")

    def setup(self, folder: Path, molecule: Path, cycles: int = 200) -> None:
        """Write the inputs.

        Args:
            folder: Where.
            molecule: A file in XYZ format.
            cycles: How many the optimisation may take.
        """
        shutil.copyfile(molecule, folder / MOLECULE)
        (folder / SETTINGS).write_text(settings_of(cycles))

    def workup(self, folder: Path) -> Shape:
        """Read the shape."""
        count, comment, *lines = (folder / RESULT).read_text().splitlines()
        rows = [line.split() for line in lines[: int(count)]]
        energy = float(re.findall(r"energy: +(\S+)", comment)[0]) * HARTREE
        return Shape(energy, tuple((row[0], float(row[1]), float(row[2]), float(row[3])) for row in rows))


def settings_of(cycles: int) -> str:
    """Compose xtb's settings."""
    return f"$opt\n   maxcycle={cycles}\n$end\n"


@workflow
def shape(molecule: Path, folder: str | None = None) -> Shape:
    """Find the shape of a molecule.

    Args:
        molecule: A file in XYZ format.
        folder: Where; default: a new one in the current folder.
    """
    return Optimize().run(folder, molecule=molecule)
