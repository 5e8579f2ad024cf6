"""What experiments say about seven fcc metals at room temperature."""

from __future__ import annotations

from typing import NamedTuple

SOURCE = "C. Kittel, Introduction to Solid State Physics, 8th ed. (Wiley, 2005): ch. 1, table 3; ch. 3, table 3"


class Measured(NamedTuple):
    """Values at room temperature.

    Args:
        lattice_constant: Edge of the cubic cell, in Å.
        bulk_modulus: In GPa.
    """

    lattice_constant: float
    bulk_modulus: float


MEASURED = {
    "Al": Measured(4.05, 72.2),
    "Cu": Measured(3.61, 137.0),
    "Ag": Measured(4.09, 100.7),
    "Au": Measured(4.08, 173.2),
    "Ni": Measured(3.52, 186.0),
    "Pd": Measured(3.89, 180.8),
    "Pt": Measured(3.92, 278.3),
}
"""By chemical symbol; see :data:`SOURCE`."""
