"""The odd hosts."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from odd_hosts.host import OddHost, Prepared
from tests.interpreters import offer_python, python_hidden
from tests.lab import Lab

NOISE = "echo 'Welcome to the {cluster}!'; echo 'quota: 93 %' >&2\n"
OLD = "2025.1.0"
QUOTA = 200


def _account(name: str, lab: Lab, stack: contextlib.ExitStack, **about: Any) -> Prepared:
    return Prepared(lab.account(name, **about).alias)


def account(name: str, **about: Any) -> Any:
    """Give what makes an account, and nothing else."""
    return functools.partial(_account, name, **about)


def _strict(name: str, settings: dict[str, object], lab: Lab, stack: contextlib.ExitStack) -> Prepared:
    prepared = _account(name, lab, stack)
    stack.enter_context(lab.sshd(**settings))
    return prepared


def strict(name: str, **settings: object) -> Any:
    """Give what makes an account on a server with other settings."""
    return functools.partial(_strict, name, settings)


def read_only_home(lab: Lab, stack: contextlib.ExitStack) -> Prepared:
    """Give the home to somebody else; there is room in a scratch folder."""
    made = lab.account("odd-readonly")
    lab.run("root", f"chown root:root {made.home} && chmod 755 {made.home} && mkdir -m 777 -p /tmp/scratch")
    return Prepared(made.alias, {"folder": "/tmp/scratch/ours"})


def read_only_home_alone(lab: Lab, stack: contextlib.ExitStack) -> Prepared:
    """Give the home to somebody else, and say nothing of another folder."""
    made = lab.account("odd-readonly-home")
    lab.run("root", f"chown root:root {made.home} && chmod 755 {made.home}")
    return Prepared(made.alias)


def quota(lab: Lab, stack: contextlib.ExitStack) -> Prepared:
    """Let the folder be a disk as small as a quota: this kernel counts no files of users."""
    made = lab.account("odd-quota")
    place = "/tmp/odd-quota"
    uid = lab.accounts["odd-quota"].uid
    lab.run("root", f"mkdir {place} && mount -t tmpfs -o size={QUOTA}m,uid={uid},mode=700 tmpfs {place}")
    stack.callback(lab.run, "root", f"umount {place}")
    return Prepared(made.alias, {"folder": f"{place}/ours"})


def no_python(lab: Lab, stack: contextlib.ExitStack) -> Prepared:
    """Hide the only Python; an interpreter can be fetched here."""
    return _without_python("odd-no-python", lab, stack, offer_python)


def no_python_anywhere(lab: Lab, stack: contextlib.ExitStack) -> Prepared:
    """Hide the only Python; none can be fetched."""
    return _without_python("odd-nowhere-python", lab, stack, offer_nothing)


def offer_nothing(folder: Path) -> Path:
    """Give an empty list of downloads."""
    path = folder / "downloads.json"
    path.write_text("{}")
    return path


def _without_python(
    name: str,
    lab: Lab,
    stack: contextlib.ExitStack,
    offer: Callable[[Path], Path],
    behind: str = "/usr/bin/false",
) -> Prepared:
    made = _account(name, lab, stack)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    stack.enter_context(python_hidden(lab, behind))
    # Wheels as they are in the user's cache, and no interpreter that was fetched before.
    wheels = folder / "simmate-remote/wheels"
    wheels.mkdir(parents=True)
    for each in platformdirs.user_cache_path("simmate-remote").glob("wheels/*"):
        if each.name != "pythons":
            (wheels / each.name).symlink_to(each)
    downloads = str(offer(folder))
    return Prepared(made.alias, environment={"UV_PYTHON_DOWNLOADS_JSON_URL": downloads, "XDG_CACHE_HOME": str(folder)})


def other_minor(lab: Lab, stack: contextlib.ExitStack) -> Prepared:
    """Let the only Python be PyPy, which speaks another minor version; an interpreter can be fetched here."""
    place = "/usr/local/bin/python-of-another-minor"
    lab.run("root", f"printf '#!/bin/sh\\nexec pypy3 \"$@\"\\n' > {place} && chmod 755 {place}")
    stack.callback(lab.run, "root", f"rm {place}")
    return _without_python("odd-pypy", lab, stack, offer_python, place)


def named_minor(lab: Lab, stack: contextlib.ExitStack) -> Prepared:
    """Name PyPy in the inventory."""
    return Prepared(lab.account("odd-named-pypy").alias, {"python": "/usr/bin/pypy3"})


def old_distributed(lab: Lab, stack: contextlib.ExitStack) -> Prepared:
    """Name an environment with an old release of Dask."""
    made = _account("odd-old", lab, stack)
    python = lab.environment(f"distributed=={OLD}", f"dask=={OLD}")
    return Prepared(made.alias, {"python": str(python)})


ODD_HOSTS = (
    OddHost("bare Debian: sshd and python3, no internet", account("odd-bare"), ("versions",)),
    OddHost("tcsh, with a greeting", account("odd-tcsh", shell="/bin/tcsh", bashrc="echo Welcome\n"), ("login-shell",)),
    OddHost("fish, with a greeting", account("odd-fish", shell="/usr/bin/fish", bashrc=NOISE), ("login-shell",)),
    OddHost("noisy and slow .bashrc", account("odd-noisy", bashrc=f"{NOISE}sleep 3\n"), ("login-shell",)),
    OddHost("HOME with spaces and quotes", account("odd-space", home='/home/odd of the "lab"'), ("versions",)),
    OddHost("read-only HOME, scratch as `folder:`", read_only_home, ("home",)),
    OddHost("read-only HOME, and no `folder:`", read_only_home_alone, ("home", "folder"), "nothing may be written to"),
    OddHost("SFTP off", strict("odd-no-sftp", Subsystem="sftp /bin/false"), ("sftp",)),
    OddHost("forwarding off", strict("odd-no-forwarding", DisableForwarding="yes"), ("forwarding",)),
    OddHost("one session, no forwarding", strict("odd-one", MaxSessions=1, DisableForwarding="yes"), ("max-sessions",)),
    OddHost(f"a disk of {QUOTA} MB", quota, ("folder",), "full, or your quota is used up"),
    OddHost("no Python anywhere", no_python_anywhere, ("python",), "and none could be brought"),
    OddHost("no Python; one can be fetched here", no_python, ("python",)),
    OddHost("another minor version only: PyPy 3.9; one can be fetched here", other_minor, ("python",)),
    OddHost("PyPy 3.9 in `python:`", named_minor, ("python",), "was named, and is no Python"),
    OddHost(f"distributed {OLD} in `python:`", old_distributed, ("versions",)),
)
