"""What became of what was run: the run's folder, the journal, and the rows here; :mod:`.host` runs where runs run."""
