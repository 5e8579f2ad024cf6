"""The equation of state of seven fcc metals: energy against volume, and what follows from it.

::

    simmate-remote run examples/metals/workflow.py:equations_of_state --on lab-box
    simmate-remote run examples/metals/workflow.py:equation_of_state --on serial structure=my_copper.cif

``workflow`` computes, ``experiment`` has what was measured, ``report`` shows both. Needs ASE; ``report`` needs
matplotlib, too.
"""
