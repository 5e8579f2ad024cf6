"""Crystals of one element, as pw.x has them."""

from __future__ import annotations

from dataclasses import dataclass

ANGSTROM = 1 / 0.529177210903
"""Bohr radii in an ångström (CODATA 2018)."""

Position = tuple[float, float, float]


@dataclass(frozen=True)
class Crystal:
    """A crystal with atoms of one element.

    Args:
        element: Chemical symbol.
        mass: Of an atom, in atomic mass units.
        pseudopotential: The name of its file in the folder of pseudopotentials.
        lattice: pw.x's number of the Bravais lattice: 1 simple cubic, 2 face-centred cubic.
        edge: Of the cubic cell, in Å.
        atoms: Their places, in units of the edge.
    """

    element: str
    mass: float
    pseudopotential: str
    lattice: int
    edge: float
    atoms: tuple[Position, ...]


def diamond(edge: float = 5.43) -> Crystal:
    """Give silicon's primitive cell.

    Args:
        edge: Of the cubic cell, in Å; default: as measured at room temperature.
    """
    return Crystal("Si", 28.086, "Si.pz-vbc.UPF", 2, edge, ((0.0, 0.0, 0.0), (0.25, 0.25, 0.25)))


def displaced_diamond(edge: float = 5.43, displacement: float = 0.02) -> Crystal:
    """Give silicon's cubic cell of 8 atoms, one of which is not where it wants to be.

    Args:
        edge: Of the cell, in Å.
        displacement: Of the first atom, in units of the edge.
    """
    corners: list[Position] = [(0.0, 0.0, displacement), (0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5)]
    inner: list[Position] = [(0.25, 0.25, 0.25), (0.75, 0.75, 0.25), (0.75, 0.25, 0.75), (0.25, 0.75, 0.75)]
    return Crystal("Si", 28.086, "Si.pz-vbc.UPF", 1, edge, tuple(corners + inner))


def aluminium(edge: float = 4.05) -> Crystal:
    """Give aluminium's primitive cell.

    Args:
        edge: Of the cubic cell, in Å.
    """
    return Crystal("Al", 26.982, "Al.pz-vbc.UPF", 2, edge, ((0.0, 0.0, 0.0),))
