"""pw.x's input file: written, and changed by a setting at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping

from espresso.crystal import ANGSTROM, Crystal

Value = str | int | float | bool
Settings = Mapping[str, Mapping[str, Value]]


def write_input(crystal: Crystal, settings: Settings, kpoints: int, pseudopotentials: str) -> str:
    """Compose an input.

    Args:
        crystal: What to compute.
        settings: Values by name, by namelist.
        kpoints: Along each direction; shifted by half a step.
        pseudopotentials: The folder of these.
    """
    everywhere: dict[str, dict[str, Value]] = {
        "control": {"prefix": "pw", "outdir": "out", "pseudo_dir": pseudopotentials},
        "system": {
            "ibrav": crystal.lattice,
            "celldm(1)": crystal.edge * ANGSTROM,
            "nat": len(crystal.atoms),
            "ntyp": 1,
        },
        "electrons": {},
        "ions": {},
    }
    lines = []
    for namelist, values in everywhere.items():
        lines.append(f"&{namelist}")
        lines += [f"  {name} = {_text(value)}" for name, value in (values | dict(settings.get(namelist, {}))).items()]
        lines.append("/")
    lines += ["ATOMIC_SPECIES", f"  {crystal.element} {crystal.mass} {crystal.pseudopotential}"]
    lines += ["ATOMIC_POSITIONS alat"]
    lines += [f"  {crystal.element} {x:.10f} {y:.10f} {z:.10f}" for x, y, z in crystal.atoms]
    lines += ["K_POINTS automatic", f"  {kpoints} {kpoints} {kpoints} 1 1 1", ""]
    return "\n".join(lines)


def get_value(text: str, name: str, default: str) -> str:
    """Give a setting of an input, as it is written there."""
    found = re.search(rf"^ *{re.escape(name)} *= *(\S+)", text, re.MULTILINE)
    return found[1].strip("'") if found else default


def set_values(text: str, namelist: str, values: Mapping[str, Value]) -> str:
    """Give an input with other settings in one of its namelists."""
    for name, value in values.items():
        text = re.sub(rf"^ *{re.escape(name)} *=.*\n", "", text, flags=re.MULTILINE)
        text = text.replace(f"&{namelist}\n", f"&{namelist}\n  {name} = {_text(value)}\n", 1)
    return text


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return ".true." if value else ".false."
    return f"'{value}'" if isinstance(value, str) else f"{value:.10g}"
