"""Energy against volume with effective-medium theory, and Birch and Murnaghan's equation fitted to it.

The energies are those of ASE's EMT calculator (K. W. Jacobsen, P. Stoltze, J. K. Nørskov, Surf. Sci. 366, 394 (1996)).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.emt import EMT
from ase.eos import EquationOfState as Fit
from ase.io import read
from distributed import as_completed, worker_client

from simmate_remote.workflows import report_progress

STRUCTURES = Path(__file__).parent / "structures"
STRAINS = np.linspace(-0.03, 0.03, 9)
"""Relative changes of the cell's edge: 9 volumes, 9 % to each side of the one in the file."""


@dataclass(frozen=True)
class EquationOfState:
    """A metal's energy as a function of its volume.

    Args:
        metal: Chemical symbol.
        lattice_constant: Edge of the cubic cell at the lowest energy, in Å.
        bulk_modulus: At the lowest energy, in GPa.
        bulk_modulus_slope: Its derivative by pressure; no unit.
        energy: The lowest energy, in eV per atom.
        volumes: Where the energy was computed, in Å³ per atom.
        energies: What it was there, in eV per atom.
    """

    metal: str
    lattice_constant: float
    bulk_modulus: float
    bulk_modulus_slope: float
    energy: float
    volumes: tuple[float, ...]
    energies: tuple[float, ...]


def equation_of_state(structure: Path) -> EquationOfState:
    """Compute the equation of state of one metal.

    Args:
        structure: A file with the metal's cubic cell, in any format that ASE reads.
    """
    atoms = read(structure)
    energies = []
    for strain in STRAINS:
        energies.append(energy(atoms, strain))
        report_progress(len(energies), len(STRAINS), f"energies of {metal_of(atoms)}")
    return fit(atoms, energies)


def equations_of_state(structures: list[Path] | None = None) -> list[EquationOfState]:
    """Compute the equations of state of several metals side by side, one task for each volume of each metal.

    Args:
        structures: Files with the metals' cubic cells; without it, the seven that lie beside this file.
    """
    metals = [read(file) for file in structures or sorted(STRUCTURES.glob("*.cif"))]
    with worker_client() as client:
        tasks = [client.map(energy, [atoms] * len(STRAINS), STRAINS) for atoms in metals]
        all_tasks = [task for row in tasks for task in row]
        for done, _ in enumerate(as_completed(all_tasks), start=1):
            report_progress(done, len(all_tasks), f"energies of {len(metals)} metals")
        energies = client.gather(tasks)
    return [fit(atoms, row) for atoms, row in zip(metals, energies, strict=True)]


def energy(atoms: Atoms, strain: float) -> float:
    """Compute the energy of a crystal whose cell is stretched evenly.

    Args:
        atoms: The crystal.
        strain: The relative change of its cell's edges.

    Returns:
        In eV per atom.
    """
    stretched = atoms.copy()
    stretched.set_cell(atoms.cell * (1 + strain), scale_atoms=True)
    stretched.calc = EMT()
    return float(stretched.get_potential_energy()) / len(stretched)


def fit(atoms: Atoms, energies: list[float]) -> EquationOfState:
    """Fit Birch and Murnaghan's equation to energies.

    Args:
        atoms: The crystal without strain; its cell is cubic and holds four atoms.
        energies: At each of ``STRAINS``, in eV per atom.
    """
    volumes = atoms.get_volume() / len(atoms) * (1 + STRAINS) ** 3
    curve = Fit(volumes, energies, eos="birchmurnaghan")
    volume, lowest, bulk_modulus = curve.fit()
    slope = curve.eos_parameters[2]
    return EquationOfState(
        metal=metal_of(atoms),
        lattice_constant=float(4 * volume) ** (1 / 3),
        bulk_modulus=float(bulk_modulus / units.GPa),
        bulk_modulus_slope=float(slope),
        energy=float(lowest),
        volumes=tuple(map(float, volumes)),
        energies=tuple(energies),
    )


def metal_of(atoms: Atoms) -> str:
    """Return the chemical symbol of a crystal of one element."""
    return str(atoms[0].symbol)
