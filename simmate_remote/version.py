"""The version of this package; both ends of a session run the same one."""

__version__ = "0.1.0"
