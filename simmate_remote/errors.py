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
    ├── FilesError (RuntimeError)              of push and pull
    │   ├── SourceError (LookupError)          what was named is not there, or cannot be told apart at the target
    │   ├── TargetError                        the folder that files go into does not serve
    │   ├── NoSpaceError                       a disk is full, or a quota used up
    │   └── TransferBrokenError (ConnectionError) the connection ended in the middle; what was begun is kept
    ├── WorkflowError (ValueError)             FILE:FUNCTION or name=value cannot be understood
    └── TaskError (RuntimeError)               a program that a task runs, its folder, or its handlers
        ├── TaskDeclarationError (ValueError)  what a task's class declares cannot be
        ├── CommandNotFoundError (FileNotFoundError)
        ├── InputMissingError (FileNotFoundError) files that the task needs are not in its folder
        ├── FolderNotEmptyError (FileExistsError) what is there would be lost
        ├── FolderBusyError (BlockingIOError)  another attempt works in it
        ├── FolderFullError (OSError)          no space, or no quota
        ├── ProgramFailedError                 its exit code, or the signal that ended it
        ├── TimeLimitError (TimeoutError)
        ├── TaskCancelledError
        ├── HandlerError                       a handler or validator raised
        ├── UncorrectableError                 a handler knows the fault, and no way to mend it
        │   ├── CorrectionsExhaustedError      the fault came again after each correction that was allowed
        │   └── CorrectionsUndoneError         handlers that undo each other
        ├── ValidationFailedError
        └── SupervisorError                    the process that watches over the program was killed

A library's exception is translated once, at the edge where it arises, and stays reachable as ``__cause__``.
This module uses the standard library alone: the keeper on the host imports it.
"""

from __future__ import annotations

import shlex
import time
from typing import Any, ClassVar, NamedTuple


class Remedy(NamedTuple):
    """What a person can do next.

    Args:
        command: A command line that exists and can be typed as it is.
        why: When, or why, this is the right command; a short phrase.
    """

    command: str
    why: str = ""


class SimmateRemoteError(Exception):
    """Base of all exceptions of this package.

    Args:
        what: What happened, in one sentence without a full stop.
        host: The host that it happened to, as the user calls it.
        since: When it began, in seconds since the epoch; default: now.
        meanwhile: What goes on in spite of it, or what was left untouched.
        remedies: What to do next, the most likely one first.
        detail: Further lines as evidence: the end of a log, a server's own words.

    Attributes:
        further: Names of the arguments that a subclass has besides.
        explained_by: Names of the checks of ``doctor`` that look into what such an error complains of.
    """

    further: ClassVar[tuple[str, ...]] = ()
    explained_by: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        what: str,
        *,
        host: str | None = None,
        since: float | None = None,
        meanwhile: str | None = None,
        remedies: tuple[Remedy, ...] = (),
        detail: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.host = host
        self.since = time.time() if since is None else since
        self.meanwhile = meanwhile
        self.remedies = _with_doctor(tuple(Remedy(*remedy) for remedy in remedies), host, self.explained_by)
        self.detail = detail

    def __str__(self) -> str:
        lines = [f"{self.host}: {self.what}" if self.host else self.what]
        if time.time() - self.since > 2:
            lines.append(f"  since:     {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.since))}")
        if self.meanwhile:
            lines.append(f"  meanwhile: {self.meanwhile}")
        lines += [f"  next:      {each.command}" + (f"    ({each.why})" if each.why else "") for each in self.remedies]
        if self.detail:
            lines += ["  " + line for line in self.detail.rstrip().splitlines()]
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return error_from_dict, (error_to_dict(self),)


def _with_doctor(remedies: tuple[Remedy, ...], host: str | None, checks: tuple[str, ...]) -> tuple[Remedy, ...]:
    """Add the command that looks into an error, where there is one and it is not among the remedies yet."""
    if host is None or not checks:
        return remedies
    noun = "check" if len(checks) == 1 else "checks"
    look = Remedy(f"simmate-remote doctor {shlex.quote(host)}", f"its {noun} {', '.join(checks)} may say why")
    return remedies if look in remedies else (*remedies, look)


class InventoryError(SimmateRemoteError, ValueError):
    """Something is wrong with the description of a host."""


class HostNotFoundError(InventoryError, LookupError):
    """No inventory knows the host, and ``ssh`` does not either."""


class HostFileError(InventoryError):
    """A file of the inventory cannot be used."""


class UntrustedFolderError(InventoryError):
    """A ``hosts`` folder that came with a checkout has not been trusted by the user."""


class LinkError(SimmateRemoteError, ConnectionError):
    """No login, or no longer one."""

    explained_by: ClassVar[tuple[str, ...]] = ("tcp",)

    reached_server = False
    """Whether an SSH server had answered, at the host or on the way: servers count attempts, and ban who makes many.

    It is known where the error arises; a copy from another process has its class's usual value.
    """


class NameNotResolvedError(LinkError):
    """The host's name has no address."""

    explained_by: ClassVar[tuple[str, ...]] = ("name",)


class ConnectionRefusedByHostError(LinkError, ConnectionRefusedError):
    """The machine answers, and nothing listens at the port."""


class ConnectTimeoutError(LinkError, TimeoutError):
    """Nothing answered in time."""


class HostKeyUnknownError(LinkError):
    """The host's key is in no known_hosts file, and nobody could be asked or the answer was no."""

    explained_by: ClassVar[tuple[str, ...]] = ("host-key",)

    reached_server = True


class HostKeyChangedError(LinkError):
    """The host shows another key than the one in known_hosts."""

    explained_by: ClassVar[tuple[str, ...]] = ("host-key",)

    reached_server = True


class AuthenticationError(LinkError, PermissionError):
    """The server accepted none of the methods that were tried."""

    explained_by: ClassVar[tuple[str, ...]] = ("authentication",)

    reached_server = True


class AnswerNeededError(AuthenticationError):
    """The login needs a password, a code or a passphrase, and nobody could be asked for it, or nobody answered."""


class ForbiddenByServerError(LinkError, PermissionError):
    """The server lets us in, and forbids what we need."""

    explained_by: ClassVar[tuple[str, ...]] = ("login-shell", "forwarding", "max-sessions")

    reached_server = True


class SSHConfigError(LinkError, ValueError):
    """The user's SSH configuration says something that cannot be followed."""

    explained_by: ClassVar[tuple[str, ...]] = ("ssh-config",)


class LinkLostError(LinkError):
    """There was a login, and it is gone."""

    explained_by: ClassVar[tuple[str, ...]] = ("tcp", "round-trip")

    reached_server = True


class RemoteEnvironmentError(SimmateRemoteError, RuntimeError):
    """The Python environment on the host does not serve."""

    explained_by: ClassVar[tuple[str, ...]] = ("python", "versions")


class RemotePythonError(RemoteEnvironmentError):
    """No Python on the host, or only one that is too old."""

    explained_by: ClassVar[tuple[str, ...]] = ("python",)


class DistributedMissingError(RemoteEnvironmentError, ModuleNotFoundError):
    """The host's Python cannot import ``distributed``."""

    explained_by: ClassVar[tuple[str, ...]] = ("versions",)


class VersionMismatchError(RemoteEnvironmentError):
    """Versions here and there cannot work together."""

    explained_by: ClassVar[tuple[str, ...]] = ("versions",)


class SetupError(RemoteEnvironmentError):
    """An environment could not be made on the host, or not be removed."""


class WheelMissingError(SetupError, LookupError):
    """What is installed here cannot be had for the host's platform."""


class HostDiskFullError(SetupError, OSError):
    """There is no space on the host, or its quota is used up."""


class EnvironmentInUseError(SetupError):
    """What shall be removed is what something on the host runs from."""


class ProtocolError(SimmateRemoteError, ConnectionError):
    """The other end of a carrier sent what the protocol does not allow."""


class ConversationGoneError(ProtocolError):
    """The other end does not know the conversation any more that was to go on, or has ended it."""


class StreamResetError(SimmateRemoteError, ConnectionResetError):
    """One stream was ended by the other side; the link is not concerned."""


class KeeperError(SimmateRemoteError, RuntimeError):
    """The keeper on the host could not do what it was asked to."""

    explained_by: ClassVar[tuple[str, ...]] = ("keeper", "folder", "runtime-folder")


class KeeperGoneError(KeeperError):
    """No keeper is there, and none was to be started."""

    explained_by: ClassVar[tuple[str, ...]] = ("logout", "leftovers")


class KeeperElsewhereError(KeeperError):
    """Another machine behind the same name has the keeper.

    Args:
        hostname: What that machine calls itself.
        address: Its address, as the login that started the keeper reached it; empty: unknown.
        port: The port of its SSH server; 0: unknown.
    """

    explained_by: ClassVar[tuple[str, ...]] = ("login-node", "leftovers")

    further = ("hostname", "address", "port")

    def __init__(self, what: str, *, hostname: str = "", address: str = "", port: int = 0, **common: Any) -> None:
        super().__init__(what, **common)
        self.hostname = hostname
        self.address = address
        self.port = port


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


class TargetError(FilesError):
    """The folder that files are to go into cannot be made or used."""


class NoSpaceError(FilesError):
    """A disk is full, or a quota used up."""


class TransferBrokenError(FilesError, ConnectionError):
    """The connection ended in the middle of a transfer."""


class WorkflowError(SimmateRemoteError, ValueError):
    """What to run, or with which parameters, cannot be understood."""


class RunCancelledError(SimmateRemoteError, RuntimeError):
    """The run was cancelled before it had a result."""


class TaskError(SimmateRemoteError, RuntimeError):
    """A task did not come to its end.

    Args:
        folder: The task's folder; empty: none was made.
        attempts: How often its program was started.
        corrections: What handlers had changed until then, as in the folder's record.
    """

    further = ("folder", "attempts", "corrections")

    def __init__(
        self,
        what: str,
        *,
        folder: str = "",
        attempts: int = 0,
        corrections: tuple[dict[str, Any], ...] = (),
        **common: Any,
    ) -> None:
        super().__init__(what, **common)
        self.folder = folder
        self.attempts = attempts
        self.corrections = corrections


class TaskDeclarationError(TaskError, ValueError):
    """What a task's class declares cannot be, whatever its parameters are."""


class CommandNotFoundError(TaskError, FileNotFoundError):
    """The command does not exist, or the system cannot execute it."""


class InputMissingError(TaskError, FileNotFoundError):
    """Files that the task needs are not in its folder."""


class FolderNotEmptyError(TaskError, FileExistsError):
    """The folder has content that is not this task's."""


class FolderBusyError(TaskError, BlockingIOError):
    """Another attempt works in the folder."""


class FolderFullError(TaskError, OSError):
    """There is no space in the folder, or the quota is used up."""


class ProgramFailedError(TaskError):
    """The program ended with an exit code that means failure, or by a signal, and no handler knew why."""


class TimeLimitError(TaskError, TimeoutError):
    """The program was ended since it took longer than it may."""


class TaskCancelledError(TaskError):
    """The program was ended since somebody asked for it."""


class HandlerError(TaskError):
    """A handler or a validator raised an exception, which is the cause."""


class UncorrectableError(TaskError):
    """A handler knows the fault, and no way to mend it."""


class CorrectionsExhaustedError(UncorrectableError):
    """The fault came again after each correction that was allowed."""


class CorrectionsUndoneError(UncorrectableError):
    """Corrections led back to inputs that had failed before."""


class ValidationFailedError(TaskError):
    """A validator found the results wrong."""


class SupervisorError(TaskError):
    """The process that watches over the program was killed, or does not answer."""


def error_to_dict(error: SimmateRemoteError) -> dict[str, Any]:
    """Describe an exception in plain data, for another process or ``--json``."""
    return {
        "error": type(error).__name__,
        "what": error.what,
        "host": error.host,
        "since": error.since,
        "meanwhile": error.meanwhile,
        "remedies": [remedy._asdict() for remedy in error.remedies],
        "detail": error.detail,
        **{name: getattr(error, name) for name in error.further},
    }


def error_from_dict(data: dict[str, Any]) -> SimmateRemoteError:
    """Make the exception again that :func:`error_to_dict` described."""
    cls = globals().get(data["error"])
    if not (isinstance(cls, type) and issubclass(cls, SimmateRemoteError)):
        cls = SimmateRemoteError
    return cls(
        data["what"],
        host=data["host"],
        since=data["since"],
        meanwhile=data["meanwhile"],
        remedies=tuple(Remedy(**remedy) for remedy in data["remedies"]),
        detail=data["detail"],
        **{name: data[name] for name in cls.further},
    )
