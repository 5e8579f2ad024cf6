"""The parts of the link through the ``ssh`` program."""
