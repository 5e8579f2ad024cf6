"""On the way to a host: its description, and the login."""

from __future__ import annotations

from typing import ClassVar

from simmate_remote.errors.base import SimmateRemoteError


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
