"""On the host: its Python, our part there, and the streams to it."""

from __future__ import annotations

from typing import Any, ClassVar

from simmate_remote.errors.base import SimmateRemoteError


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

    explained_by: ClassVar[tuple[str, ...]] = ("home", "folder")


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
