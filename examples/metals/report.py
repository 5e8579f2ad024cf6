"""Computed equations of state beside what was measured: as a table, and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import units
from ase.eos import birchmurnaghan
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from metals.experiment import MEASURED, SOURCE
from metals.workflow import EquationOfState

INK, FAINT, MODEL, EXPERIMENT = "#22272e", "#d3d7dd", "#1f6f8b", "#d1603d"


def table(results: Sequence[EquationOfState]) -> str:
    """Return lattice constants and bulk moduli, beside measured ones and their source."""
    lines = [
        "         lattice constant (Å)        bulk modulus (GPa)",
        "metal     EMT   measured     off     EMT   measured     off",
    ]
    for one in results:
        there = MEASURED[one.metal]
        lines.append(
            f"{one.metal:<5} {one.lattice_constant:7.3f} {there.lattice_constant:10.2f} "
            f"{_off(one.lattice_constant, there.lattice_constant):+6.1f}% "
            f"{one.bulk_modulus:7.1f} {there.bulk_modulus:10.1f} {_off(one.bulk_modulus, there.bulk_modulus):+6.1f}%"
        )
    return "\n".join([*lines, f"measured: {SOURCE}"])


def _off(computed: float, measured: float) -> float:
    """Return by how much a value is off, in per cent; the sum keeps a rounded zero from being negative."""
    return round(100 * (computed / measured - 1), 1) + 0.0


def picture(results: Sequence[EquationOfState], path: Path) -> None:
    """Draw each metal's curve in front of all the others, and the bulk moduli beside measured ones.

    Args:
        results: One for each metal, up to seven.
        path: The file to write; its suffix says the format.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.10, wspace=0.03, hspace=0.05)
    figure = Figure(figsize=(11.5, 6.2), layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4)
    figure.suptitle(
        "Equations of state of fcc metals, effective-medium theory", fontsize=15, color=INK, fontweight="bold"
    )
    for panel, one in zip(axes.flat, results, strict=False):
        for other in results:
            panel.plot(*_curve(other), color=FAINT, linewidth=1, zorder=1)
        panel.plot(*_curve(one), color=MODEL, linewidth=2, zorder=2)
        ratios = np.array(one.volumes) / _volume(one)
        energies = 1000 * (np.array(one.energies) - one.energy)
        panel.scatter(ratios, energies, s=26, color=MODEL, edgecolor="white", linewidth=0.8, zorder=3)
        panel.set_title(one.metal, loc="left", fontsize=13, fontweight="bold", color=INK)
        panel.text(
            0.5,
            0.93,
            f"a = {one.lattice_constant:.3f} Å\nB = {one.bulk_modulus:.0f} GPa",
            transform=panel.transAxes,
            ha="center",
            va="top",
            fontsize=10,
            color=INK,
        )
        panel.set_xlim(0.89, 1.15)
        panel.set_ylim(-7, 140)
        panel.set_xticks([0.9, 1.0, 1.1])
        _plain(panel)
    for panel in list(axes.flat)[len(results) : -1]:
        panel.set_visible(False)
    for panel in axes[:, 0]:
        panel.set_ylabel("$E - E_0$  (meV per atom)", color=INK)
    for panel in axes[1, :-1]:
        panel.set_xlabel("$V / V_0$", color=INK)
    _moduli(axes[1, -1], results)
    figure.savefig(path, dpi=160, facecolor="white")


def _moduli(panel: Any, results: Sequence[EquationOfState]) -> None:
    """Draw computed and measured bulk moduli on one line for each metal."""
    rows = sorted(results, key=lambda one: MEASURED[one.metal].bulk_modulus)
    for row, one in enumerate(rows):
        measured = MEASURED[one.metal].bulk_modulus
        panel.plot([one.bulk_modulus, measured], [row, row], color=FAINT, linewidth=3, zorder=1)
        panel.scatter(measured, row, s=70, facecolor="white", edgecolor=EXPERIMENT, linewidth=1.8, zorder=2)
        panel.scatter(one.bulk_modulus, row, s=22, color=MODEL, zorder=3)
    panel.set_yticks(range(len(rows)), [one.metal for one in rows])
    panel.set_xlim(0, 310)
    panel.set_ylim(-0.6, len(rows) - 0.4)
    panel.set_xlabel("bulk modulus B (GPa)", color=INK)
    panel.set_title("B, computed and measured", loc="left", fontsize=11, color=INK)
    panel.text(298, 1.05, "● EMT", ha="right", color=MODEL, fontsize=9.5)
    panel.text(298, 0.30, "○ measured (Kittel)", ha="right", color=EXPERIMENT, fontsize=9.5)
    _plain(panel)


def _curve(one: EquationOfState) -> tuple[Any, Any]:
    """Return volumes relative to the one of lowest energy, and energies above that in meV per atom."""
    ratios = np.linspace(min(one.volumes), max(one.volumes), 200) / _volume(one)
    fitted = birchmurnaghan(
        ratios * _volume(one), one.energy, one.bulk_modulus * units.GPa, one.bulk_modulus_slope, _volume(one)
    )
    return ratios, 1000 * (fitted - one.energy)


def _volume(one: EquationOfState) -> float:
    """Return the volume of lowest energy, in Å³ per atom."""
    return one.lattice_constant**3 / 4


def _plain(panel: Any) -> None:
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        panel.spines[side].set_color("#8b929c")
    panel.tick_params(colors=INK, labelsize=9, color="#8b929c")
