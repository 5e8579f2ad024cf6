"""The database: where it is, whether it answers, and whether what is in it can be read."""

from __future__ import annotations

from simmate_remote.errors.base import SimmateRemoteError


class DatabaseError(SimmateRemoteError, RuntimeError):
    """The database that runs and results are kept in."""


class DatabaseConfigurationError(DatabaseError, ValueError):
    """What database.yaml or SIMMATE_REMOTE_DATABASE says cannot be."""


class DatabaseUnreachableError(DatabaseError, ConnectionError):
    """Nothing answers where the database should be."""


class DatabasePasswordError(DatabaseError, PermissionError):
    """The database does not accept the user or the password."""


class DatabaseServerError(DatabaseError):
    """The embedded server does not start, or died."""


class DatabaseFullError(DatabaseError, OSError):
    """No space is left under the database, or no quota."""


class DatabaseVersionError(DatabaseError):
    """The tables were made by another version of this program."""


class DatabaseNewerError(DatabaseVersionError):
    """The tables were made by a newer version of this program; they are left as they are."""


class DatabasePackagesError(DatabaseError, ModuleNotFoundError):
    """The Python of this process lacks a package that the database needs."""


class BackupError(DatabaseError):
    """A backup could not be written, or cannot be restored."""
