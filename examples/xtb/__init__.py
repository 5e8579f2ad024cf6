"""xtb as a supervised task: the shapes of molecules that are given as files."""
