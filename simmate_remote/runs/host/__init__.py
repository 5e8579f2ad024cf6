"""Runs where they run: their folders, the journal, and the desk that takes them in, has them executed and tells."""
