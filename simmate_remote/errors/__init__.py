"""The tree of exceptions. Each one says what happened, where, since when, what goes on meanwhile, and what to do next.

::

    SimmateRemoteError
    ├── InventoryError (ValueError)
    │   ├── HostNotFoundError (LookupError)    no inventory knows this host, and ssh does not either
    │   ├── HostFileError                      a file of the inventory is wrong: file, line, field, what would be right
    │   └── UntrustedFolderError               ./hosts of a folder that nobody has trusted yet
    ├── LinkError (ConnectionError)
    │   ├── NameNotResolvedError
    │   ├── ConnectionRefusedByHostError (ConnectionRefusedError)
    │   ├── ConnectTimeoutError (TimeoutError)
    │   ├── HostKeyUnknownError
    │   ├── HostKeyChangedError
    │   ├── AuthenticationError (PermissionError)
    │   │   └── AnswerNeededError              a person is needed, and nobody could be asked
    │   ├── ForbiddenByServerError (PermissionError)
    │   ├── SSHConfigError (ValueError)        ~/.ssh/config says something that we cannot follow
    │   └── LinkLostError                      there was a link, and it is gone
    ├── RemoteEnvironmentError (RuntimeError)
    │   ├── RemotePythonError                  missing, or too old
    │   ├── DistributedMissingError (ModuleNotFoundError)
    │   ├── VersionMismatchError               of Python, dask, distributed, …: both are named
    │   └── SetupError                         an environment could not be made there; what was there before still is
    │       ├── WheelMissingError (LookupError) what is installed here cannot be had for the host's platform
    │       ├── HostDiskFullError (OSError)    no space there, or no quota
    │       └── EnvironmentInUseError          what shall be removed is what something there runs from
    ├── ProtocolError (ConnectionError)        the far end of a stream broke the rules
    │   └── ConversationGoneError              the far end does not know, or has ended, what was to be resumed
    ├── StreamResetError (ConnectionResetError) one stream was ended by the other side
    ├── KeeperError (RuntimeError)             the keeper on the host could not do what it was asked to
    │   ├── KeeperGoneError                    it is not there any more: what became of it
    │   └── KeeperElsewhereError               another machine behind the same name has it
    ├── ClusterError (RuntimeError)
    │   ├── SchedulerError                     did not start, or died: with the last lines of its log
    │   ├── WorkersError                       the same, of workers
    │   └── UnsatisfiableError (ValueError)    a task asks for what no worker has
    ├── SessionError (RuntimeError)
    │   ├── NoSessionError (LookupError)       nothing is connected to this host
    │   └── SessionStoppedError (ConnectionError)
    ├── DatabaseError (RuntimeError)
    │   ├── DatabaseConfigurationError (ValueError) database.yaml or SIMMATE_REMOTE_DATABASE says what cannot be
    │   ├── DatabaseUnreachableError (ConnectionError) nothing answers where the database should be
    │   ├── DatabasePasswordError (PermissionError)
    │   ├── DatabaseServerError                the embedded server does not start, or died
    │   ├── DatabaseFullError (OSError)        no space under it, or no quota
    │   ├── DatabaseVersionError               its tables are of another version of this program
    │   │   └── DatabaseNewerError             of a newer one: they are left as they are
    │   ├── DatabasePackagesError (ModuleNotFoundError) this Python lacks what it needs
    │   └── BackupError                        cannot be written, or cannot be restored
    ├── FilesError (RuntimeError)              of push and pull
    │   ├── SourceError (LookupError)          what was named is not there, or cannot be told apart at the target
    │   ├── TargetFolderError                  the folder that files go into does not serve
    │   ├── NoSpaceError                       a disk is full, or a quota used up
    │   └── TransferBrokenError (ConnectionError) the connection ended in the middle; what was begun is kept
    ├── WorkflowError (ValueError)             FILE:FUNCTION or name=value cannot be understood
    │   └── CodeDiffersError                   the installed package that holds it is another one there
    ├── TaskError (RuntimeError)               a program that a task runs, its folder, or its handlers
    │   ├── TaskDeclarationError (ValueError)  what a task's class declares cannot be
    │   ├── CommandNotFoundError (FileNotFoundError)
    │   ├── InputMissingError (FileNotFoundError) files that the task needs are not in its folder
    │   ├── FolderNotEmptyError (FileExistsError) what is there would be lost
    │   ├── FolderBusyError (BlockingIOError)  another attempt works in it
    │   ├── FolderFullError (OSError)          no space, or no quota
    │   ├── ProgramFailedError                 its exit code, or the signal that ended it
    │   ├── TimeLimitError (TimeoutError)
    │   ├── TaskCancelledError
    │   ├── HandlerError                       a handler or validator raised
    │   ├── UncorrectableError                 a handler knows the fault, and no way to mend it
    │   │   ├── CorrectionsExhaustedError      the fault came again after each correction that was allowed
    │   │   └── CorrectionsUndoneError         handlers that undo each other
    │   ├── ValidationFailedError
    │   └── SupervisorError                    the process that watches over the program was killed
    ├── RunCancelledError (RuntimeError)       cancelled before it had a result
    └── RunError (RuntimeError)                what is known of a run, or its folder, does not serve
        ├── RunNotFoundError (LookupError)     there is no such run, or its folder is gone
        ├── RunDamagedError (ValueError)       a file of its folder cannot be read
        ├── RunInterruptedError                given up, since each of its attempts was ended from outside
        └── RunsUnavailableError (ConnectionError) runs of this host cannot be started or asked for at the moment

A library's exception is translated once, at the edge where it arises, and stays reachable as ``__cause__``.
This package uses the standard library alone: the keeper on the host imports it.
"""

from __future__ import annotations

from simmate_remote.errors.access import (
    AnswerNeededError,
    AuthenticationError,
    ConnectionRefusedByHostError,
    ConnectTimeoutError,
    ForbiddenByServerError,
    HostFileError,
    HostKeyChangedError,
    HostKeyUnknownError,
    HostNotFoundError,
    InventoryError,
    LinkError,
    LinkLostError,
    NameNotResolvedError,
    SSHConfigError,
    UntrustedFolderError,
)
from simmate_remote.errors.base import Remedy, SimmateRemoteError, error_from_dict, error_to_dict
from simmate_remote.errors.database import (
    BackupError,
    DatabaseConfigurationError,
    DatabaseError,
    DatabaseFullError,
    DatabaseNewerError,
    DatabasePackagesError,
    DatabasePasswordError,
    DatabaseServerError,
    DatabaseUnreachableError,
    DatabaseVersionError,
)
from simmate_remote.errors.host import (
    ConversationGoneError,
    DistributedMissingError,
    EnvironmentInUseError,
    HostDiskFullError,
    KeeperElsewhereError,
    KeeperError,
    KeeperGoneError,
    ProtocolError,
    RemoteEnvironmentError,
    RemotePythonError,
    SetupError,
    StreamResetError,
    VersionMismatchError,
    WheelMissingError,
)
from simmate_remote.errors.session import (
    ClusterError,
    FilesError,
    NoSessionError,
    NoSpaceError,
    SchedulerError,
    SessionError,
    SessionStoppedError,
    SourceError,
    TargetFolderError,
    TransferBrokenError,
    UnsatisfiableError,
    WorkersError,
)
from simmate_remote.errors.work import (
    CodeDiffersError,
    CodeDiffersWarning,
    CommandNotFoundError,
    CorrectionsExhaustedError,
    CorrectionsUndoneError,
    FolderBusyError,
    FolderFullError,
    FolderNotEmptyError,
    HandlerError,
    InputMissingError,
    ProgramFailedError,
    RunCancelledError,
    RunDamagedError,
    RunError,
    RunInterruptedError,
    RunNotFoundError,
    RunsUnavailableError,
    SupervisorError,
    TaskCancelledError,
    TaskDeclarationError,
    TaskError,
    TimeLimitError,
    UncorrectableError,
    ValidationFailedError,
    WorkflowError,
)

__all__ = [
    "AnswerNeededError",
    "AuthenticationError",
    "BackupError",
    "ClusterError",
    "CodeDiffersError",
    "CodeDiffersWarning",
    "CommandNotFoundError",
    "ConnectTimeoutError",
    "ConnectionRefusedByHostError",
    "ConversationGoneError",
    "CorrectionsExhaustedError",
    "CorrectionsUndoneError",
    "DatabaseConfigurationError",
    "DatabaseError",
    "DatabaseFullError",
    "DatabaseNewerError",
    "DatabasePackagesError",
    "DatabasePasswordError",
    "DatabaseServerError",
    "DatabaseUnreachableError",
    "DatabaseVersionError",
    "DistributedMissingError",
    "EnvironmentInUseError",
    "FilesError",
    "FolderBusyError",
    "FolderFullError",
    "FolderNotEmptyError",
    "ForbiddenByServerError",
    "HandlerError",
    "HostDiskFullError",
    "HostFileError",
    "HostKeyChangedError",
    "HostKeyUnknownError",
    "HostNotFoundError",
    "InputMissingError",
    "InventoryError",
    "KeeperElsewhereError",
    "KeeperError",
    "KeeperGoneError",
    "LinkError",
    "LinkLostError",
    "NameNotResolvedError",
    "NoSessionError",
    "NoSpaceError",
    "ProgramFailedError",
    "ProtocolError",
    "Remedy",
    "RemoteEnvironmentError",
    "RemotePythonError",
    "RunCancelledError",
    "RunDamagedError",
    "RunError",
    "RunInterruptedError",
    "RunNotFoundError",
    "RunsUnavailableError",
    "SSHConfigError",
    "SchedulerError",
    "SessionError",
    "SessionStoppedError",
    "SetupError",
    "SimmateRemoteError",
    "SourceError",
    "StreamResetError",
    "SupervisorError",
    "TargetFolderError",
    "TaskCancelledError",
    "TaskDeclarationError",
    "TaskError",
    "TimeLimitError",
    "TransferBrokenError",
    "UncorrectableError",
    "UnsatisfiableError",
    "UntrustedFolderError",
    "ValidationFailedError",
    "VersionMismatchError",
    "WheelMissingError",
    "WorkersError",
    "WorkflowError",
    "error_from_dict",
    "error_to_dict",
]
