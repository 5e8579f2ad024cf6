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
    │   └── VersionMismatchError               of Python, dask, distributed, …: both are named
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
    └── WorkflowError (ValueError)             FILE:FUNCTION or name=value cannot be understood

A library's exception is translated once, at the edge where it arises, and stays reachable as ``__cause__``.
This module uses the standard library alone: the keeper on the host imports it.
"""

from __future__ import annotations

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
    """

    further: ClassVar[tuple[str, ...]] = ()

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
        self.remedies = tuple(Remedy(*remedy) for remedy in remedies)
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

    reached_server = False
    """Whether an SSH server had answered, at the host or on the way: servers count attempts, and ban who makes many.

    It is known where the error arises; a copy from another process has its class's usual value.
    """


class NameNotResolvedError(LinkError):
    """The host's name has no address."""


class ConnectionRefusedByHostError(LinkError, ConnectionRefusedError):
    """The machine answers, and nothing listens at the port."""


class ConnectTimeoutError(LinkError, TimeoutError):
    """Nothing answered in time."""


class HostKeyUnknownError(LinkError):
    """The host's key is in no known_hosts file, and nobody could be asked or the answer was no."""

    reached_server = True


class HostKeyChangedError(LinkError):
    """The host shows another key than the one in known_hosts."""

    reached_server = True


class AuthenticationError(LinkError, PermissionError):
    """The server accepted none of the methods that were tried."""

    reached_server = True


class AnswerNeededError(AuthenticationError):
    """The login needs a password, a code or a passphrase, and nobody could be asked for it, or nobody answered."""


class ForbiddenByServerError(LinkError, PermissionError):
    """The server lets us in, and forbids what we need."""

    reached_server = True


class SSHConfigError(LinkError, ValueError):
    """The user's SSH configuration says something that cannot be followed."""


class LinkLostError(LinkError):
    """There was a login, and it is gone."""

    reached_server = True


class RemoteEnvironmentError(SimmateRemoteError, RuntimeError):
    """The Python environment on the host does not serve."""


class RemotePythonError(RemoteEnvironmentError):
    """No Python on the host, or only one that is too old."""


class DistributedMissingError(RemoteEnvironmentError, ModuleNotFoundError):
    """The host's Python cannot import ``distributed``."""


class VersionMismatchError(RemoteEnvironmentError):
    """Versions here and there cannot work together."""


class ProtocolError(SimmateRemoteError, ConnectionError):
    """The other end of a carrier sent what the protocol does not allow."""


class ConversationGoneError(ProtocolError):
    """The other end does not know the conversation any more that was to go on, or has ended it."""


class StreamResetError(SimmateRemoteError, ConnectionResetError):
    """One stream was ended by the other side; the link is not concerned."""


class KeeperError(SimmateRemoteError, RuntimeError):
    """The keeper on the host could not do what it was asked to."""


class KeeperGoneError(KeeperError):
    """No keeper is there, and none was to be started."""


class KeeperElsewhereError(KeeperError):
    """Another machine behind the same name has the keeper.

    Args:
        hostname: What that machine calls itself.
        address: Its address, as the login that started the keeper reached it; empty: unknown.
        port: The port of its SSH server; 0: unknown.
    """

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


class WorkflowError(SimmateRemoteError, ValueError):
    """What to run, or with which parameters, cannot be understood."""


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
