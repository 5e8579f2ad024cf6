"""Quantum ESPRESSO's pw.x as a supervised task: crystals, handlers, and silicon as the example."""
