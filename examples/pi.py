"""The number pi from random points: the smallest thing that can be run somewhere else.

::

    simmate-remote run examples/pi.py:estimate --on serial
    simmate-remote run examples/pi.py:estimate --on lab-box samples=10_000_000
"""

from __future__ import annotations

import random

from simmate_remote.workflows import report_progress


def estimate(samples: int = 1_000_000, seed: int = 0) -> float:
    """Estimate pi from how many random points of the unit square lie within a quarter of a circle.

    Args:
        samples: How many points; the error falls with its square root.
        seed: Of the random numbers: the same seed gives the same estimate on every machine.
    """
    numbers = random.Random(seed)  # noqa: S311 - nothing is kept secret with these
    inside = 0
    for sample in range(samples):
        inside += numbers.random() ** 2 + numbers.random() ** 2 < 1
        if sample % 100_000 == 0:
            report_progress(sample, samples, "throwing points")
    return 4 * inside / samples
