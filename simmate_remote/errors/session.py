"""While connected: the cluster, the session, and files that are copied."""

from __future__ import annotations

from simmate_remote.errors.base import SimmateRemoteError


class ClusterError(SimmateRemoteError, RuntimeError):
    """Scheduler or workers on the host."""


class SchedulerError(ClusterError):
    """The scheduler did not start, or died."""


class WorkersError(ClusterError):
    """Workers did not start, or died."""


class UnsatisfiableError(ClusterError, ValueError):
    """A task asks for resources that no worker has."""


class SessionError(SimmateRemoteError, RuntimeError):
    """The background process that holds the login."""


class NoSessionError(SessionError, LookupError):
    """Nothing is connected to this host."""


class SessionStoppedError(SessionError, ConnectionError):
    """The session ended while something still waited for it."""


class FilesError(SimmateRemoteError, RuntimeError):
    """Files could not be copied to or from a host."""


class SourceError(FilesError, LookupError):
    """What was named is not there, or two things of the same name would go to one place."""


class TargetFolderError(FilesError):
    """The folder that files are to go into cannot be made or used."""


class NoSpaceError(FilesError):
    """A disk is full, or a quota used up."""


class TransferBrokenError(FilesError, ConnectionError):
    """The connection ended in the middle of a transfer."""
