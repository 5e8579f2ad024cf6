"""A pytest plugin: fixtures for tests against the embedded host."""
