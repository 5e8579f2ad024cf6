"""Whether what we start outlives its login: on most hosts it does, and some end whatever a user leaves behind.

systemd-logind can be told to (``KillUserProcesses``, logind.conf(5)); it then ends the scope of a session with its last
process. What runs below the user's own service manager is not in that scope, but that manager ends with the user's
last session, unless the user lingers (loginctl(1)). Where there is no logind, this costs a look into one file, and the
import of next to nothing: a person waits for it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

TIMEOUT = 5.0
SESSION = re.compile(r"/session-[^/\n]+\.scope(/|$)", re.MULTILINE)
SCOPE = ("systemd-run", "--user", "--scope", "--quiet", "--collect", "--description=simmate-remote keeper", "--")
ENABLE_LINGER = "loginctl enable-linger"
MANAGER_STATUS = "systemctl --user status"


class Login(NamedTuple):
    """What was found out about this login.

    Args:
        in_session: Whether this process is in the scope of a session of logind.
        kills: Whether logind ends what such a session leaves behind.
        lingers: Whether the user's service manager outlives the user's sessions.
        has_manager: Whether that manager starts things for us.
    """

    in_session: bool = False
    kills: bool = False
    lingers: bool = False
    has_manager: bool = False


class Survival(NamedTuple):
    """What follows from it.

    Args:
        prefix: The command line to start with; empty: as it is.
        warnings: What the user should hear, with the command on the host that mends it.
    """

    prefix: tuple[str, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()


def how_to_survive_logout() -> Survival:
    """Find out how a process outlives this login."""
    return decide(look())


def decide(login: Login) -> Survival:
    """Decide how to start what shall outlive a login."""
    if not (login.in_session and login.kills):
        return Survival()
    prefix = SCOPE if login.has_manager else ()
    if not login.lingers:
        what = "this host ends all that a user left running when the last login is gone, scheduler and workers too"
        return Survival(prefix, ((what, ENABLE_LINGER),))
    if not prefix:
        what = "this host ends all that a login left running, and the user's service manager there does not answer"
        return Survival(prefix, ((what, MANAGER_STATUS),))
    return Survival(prefix)


def look() -> Login:
    """Look at this login; the programs of systemd are asked only where they matter."""
    try:
        in_session = SESSION.search(Path("/proc/self/cgroup").read_text()) is not None
    except OSError:
        in_session = False
    return look_closer() if in_session else Login()


def look_closer() -> Login:
    """Ask logind and the user's service manager, from within a session of logind."""
    import pwd

    user = pwd.getpwuid(os.getuid()).pw_name
    told = _ask("loginctl", "show-session", "-p", "KillUserProcesses", "-p", "KillOnlyUsers", "-p", "KillExcludeUsers")
    if not kills_processes_of(user, told):
        return Login(in_session=True)
    return Login(
        in_session=True,
        kills=True,
        lingers="Linger=yes" in _ask("loginctl", "show-user", user, "-p", "Linger").splitlines(),
        has_manager=_ask(*SCOPE, "echo", "here") == "here\n",
    )


def kills_processes_of(user: str, told: str) -> bool:
    """Read from logind's properties whether it ends what this user leaves behind.

    Args:
        user: Login name.
        told: Lines of the form ``Name=value``.
    """
    properties = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    if user in properties.get("KillExcludeUsers", "root").split():
        return False
    if only := properties.get("KillOnlyUsers", "").split():
        return user in only
    return properties.get("KillUserProcesses") == "yes"


def _ask(*command: str) -> str:
    import subprocess

    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        # Not installed, or the bus does not answer: then nothing can be found out, and nothing is changed.
        return ""
    return done.stdout
