"""Silicon: its energy, its relaxation, and its equation of state.

The pseudopotential and the settings are for examples that take seconds, and not for publication.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espresso.crystal import diamond, displaced_diamond
from espresso.pw import Energies, Pw
from simmate_remote.workflows import gather, task, workflow

STRAINS = np.linspace(-0.04, 0.04, 7)
EV_PER_CUBIC_ANGSTROM = 160.2176634
"""GPa (CODATA 2018)."""


@dataclass(frozen=True)
class EquationOfState:
    """Silicon's energy as a function of its volume.

    Args:
        lattice_constant: Edge of the cubic cell at the lowest energy, in Å.
        bulk_modulus: At the lowest energy, in GPa.
        volumes: Where the energy was computed, in Å³ per cell of two atoms.
        energies: What it was there, in eV per cell.
    """

    lattice_constant: float
    bulk_modulus: float
    volumes: tuple[float, ...]
    energies: tuple[float, ...]


@workflow
def scf(folder: str = "silicon-scf", edge: float = 5.43) -> Energies:
    """Compute the energy of silicon.

    Args:
        folder: Where.
        edge: Of the cubic cell, in Å.
    """
    return Pw().run(folder, crystal=diamond(edge))


@workflow
def relax(folder: str = "silicon-relax", displacement: float = 0.02) -> Energies:
    """Let an atom of silicon find its place again.

    Args:
        folder: Where.
        displacement: Of the atom at the beginning, in units of the cubic cell's edge.
    """
    return Pw().run(folder, crystal=displaced_diamond(displacement=displacement), calculation="relax")


@task
def energy(folder: str, edge: float) -> float:
    """Compute one energy, in eV."""
    return Pw().run(folder, crystal=diamond(edge), kpoints=3).total


@workflow
def equation_of_state(folder: str = "silicon-eos", edge: float = 5.43) -> EquationOfState:
    """Compute the energy at seven volumes, side by side, and fit the curve.

    Args:
        folder: Where; one folder inside for each volume.
        edge: Of the cubic cell in the middle, in Å.
    """
    edges = [float(edge * (1 + strain)) for strain in STRAINS]
    handles = energy.map([str(Path(folder, f"{one:.3f}")) for one in edges], edges)
    return fit(edges, gather(handles))


def fit(edges: list[float], energies: list[float]) -> EquationOfState:
    """Fit F. Birch's equation (Phys. Rev. 71, 809 (1947)): a polynomial of third order in V^(-2/3).

    Args:
        edges: Of the cubic cell, in Å.
        energies: In eV per cell of two atoms.
    """
    volumes = np.array(edges) ** 3 / 4
    curve = np.polynomial.Polynomial.fit(volumes ** (-2 / 3), energies, 3).convert()
    slope = curve.deriv()
    roots = [root.real for root in slope.roots() if abs(root.imag) < 1e-9 and curve.deriv(2)(root.real) > 0]
    x = min(roots, key=lambda root: abs(root - float(np.mean(volumes ** (-2 / 3)))))
    # With x = V^(-2/3), where dE/dx is 0: V d²E/dV² = 4/9 x^(7/2) d²E/dx².
    bulk_modulus = 4 / 9 * x**3.5 * curve.deriv(2)(x) * EV_PER_CUBIC_ANGSTROM
    return EquationOfState(
        float((4 * x**-1.5) ** (1 / 3)), float(bulk_modulus), tuple(map(float, volumes)), tuple(energies)
    )
