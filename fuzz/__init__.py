"""Hostile far ends, played by a coverage-guided fuzzer: ``make fuzz``."""
