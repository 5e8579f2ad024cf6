"""What a session is asked to be: the inventory's words, in a form that costs the session process no import.

The session process has to be at the host as soon as it can; reading YAML and checking fields was done before it began.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from simmate_remote.link.base import Destination

if TYPE_CHECKING:
    from simmate_remote.inventory.models import Host

LISTENING = b"listening\n"
"""The first word of a session that is the one of its host."""

ALREADY_THERE = b"there\n"
"""The first word of one that is not: another was quicker."""


@dataclass(frozen=True)
class SessionOrder:
    """One host, as its session needs it.

    Args:
        name: What the user calls it.
        ssh: What is typed after ``ssh``.
        ssh_config: The ssh_config file, or None for the user's own.
        folder: Our folder there.
        python: Interpreter or environment there, or None.
        workers: The inventory's ``workers``, in plain data.
        keepalive_interval: Seconds.
        keepalive_tries: A number.
        lease: Seconds.
        lease_text: The same in words.
        connect_timeout: Seconds.
        link: The kind of link.
        here: Whether a keeper is started where the login leads, although another machine behind the name has one.
        owner: Whose streams those of its session are, for the keeper: this user's, from this machine, to this host.
    """

    name: str
    ssh: str
    ssh_config: str | None
    folder: str
    python: str | None
    workers: dict[str, Any]
    keepalive_interval: float
    keepalive_tries: int
    lease: float
    lease_text: str
    connect_timeout: float
    link: Literal["asyncssh", "openssh"]
    owner: str
    here: bool = False

    @classmethod
    def of(cls, host: Host, owner: str, *, here: bool = False) -> Self:
        """Take over what the inventory says."""
        return cls(
            name=host.name,
            ssh=host.ssh,
            ssh_config=str(host.ssh_config) if host.ssh_config else None,
            folder=host.folder,
            python=host.python,
            workers=host.workers.model_dump(),
            keepalive_interval=float(host.keepalive.interval),
            keepalive_tries=host.keepalive.tries,
            lease=float(host.lease),
            lease_text=str(host.lease),
            connect_timeout=float(host.connect_timeout),
            link=host.link,
            owner=owner,
            here=here,
        )

    def destination(self, *, impatient: bool = False, node: tuple[str, int] | None = None) -> Destination:
        """Give where a login goes.

        Args:
            impatient: Whether to knock again each second while nothing answers.
            node: One of several machines behind the name; None: whichever answers.
        """
        return Destination(
            host=self.name,
            ssh=self.ssh,
            config=self.ssh_config,
            keepalive_interval=self.keepalive_interval,
            keepalive_tries=self.keepalive_tries,
            connect_timeout=self.connect_timeout,
            link=self.link,
            impatient=impatient,
            node=node,
        )
