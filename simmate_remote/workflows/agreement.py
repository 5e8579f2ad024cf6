"""Installed code that a run needs, here and there: another package under the same name is said before anything runs.

Own code travels, so it is the same at both ends. What is installed is not sent, and the host may have another version
of it, or the same one with other content.
"""

from __future__ import annotations

import shlex
import warnings
import weakref
from collections.abc import Callable
from typing import Any

from distributed import Client

from simmate_remote.errors import CodeDiffersError, CodeDiffersWarning, Remedy
from simmate_remote.workflows.desk_watch import RunDesk
from simmate_remote.workflows.fingerprints import describe, fingerprints
from simmate_remote.workflows.own_code import InstalledCode

Ask = Callable[..., list[Any]]
"""Calls a function of this package there, and gives its answer from each machine."""

_agreed: weakref.WeakKeyDictionary[Client | RunDesk, set[InstalledCode]] = weakref.WeakKeyDictionary()


def check_agreement(where: Client | RunDesk, needed: InstalledCode, host: str | None) -> None:
    """Compare installed code with that of a cluster's machines, once for each cluster and code.

    Args:
        where: A client of the cluster, or its desk.
        needed: What the run needs.
        host: What the user calls the cluster.

    Raises:
        CodeDiffersError: The package that holds what is to run is another one there.
    """
    known = _agreed.setdefault(where, set())
    if needed not in known:
        compare(needed, lambda function, *arguments: _ask(where, function, *arguments), host)
        known.add(needed)


def compare(needed: InstalledCode, ask: Ask, host: str | None) -> None:
    """Compare installed code here and there, as :func:`check_agreement` does.

    Args:
        needed: What the run needs.
        ask: Calls functions there.
        host: What the user calls it.
    """
    holder = (needed.holder,) if needed.holder else ()
    ours = fingerprints(needed.imported, holder)
    differs: list[str] = []
    for theirs in ask(fingerprints, needed.imported, holder):
        differs += [name for name, one in ours.items() if theirs[name] != one and name not in differs]
    for name in sorted(differs, key=lambda name: name != needed.holder):
        what, places = _difference(name, ask)
        if name == needed.holder:
            raise CodeDiffersError(
                f"{name}, which holds what is to run, {what}",
                host=host,
                meanwhile="nothing was run",
                remedies=_setup(host),
                detail=places,
            )
        hint = f"; `simmate-remote setup {shlex.quote(host)}` makes them equal" if host else ""
        before = f"{host}: " if host else ""
        warnings.warn(f"{before}{name}, which the code to run imports, {what}{hint}", CodeDiffersWarning, stacklevel=2)


def _difference(name: str, ask: Ask) -> tuple[str, str]:
    """Say in what a package differs, and the places where it lies."""
    here = describe(name)
    answers: list[dict[str, Any]] = ask(describe, name)
    there = next((one for one in answers if one["files"] != here["files"]), answers[0])
    places = f"here:  {here['place']}\nthere: {there['place'] or '(not there)'}"
    if not there["files"]:
        return "is not installed there", places
    if here["version"] != there["version"]:
        one, other = (each["version"] or "one without a version" for each in (here, there))
        return f"is another version there: {one} here, {other} there", places
    names = sorted({*here["files"], *there["files"]})
    files = [name for name in names if here["files"].get(name) != there["files"].get(name)]
    version = f" in the same version, {here['version']}" if here["version"] else ""
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"has other content there{version}: {files[0]}{more}", places


def _setup(host: str | None) -> tuple[Remedy, ...]:
    if host is None:
        return ()
    return (Remedy(f"simmate-remote setup {shlex.quote(host)}", "makes the environment there equal to the one here"),)


def _ask(where: Client | RunDesk, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    if isinstance(where, RunDesk):
        name = f"{function.__module__}:{function.__qualname__}"
        at_desk: list[Any] = where.call("ask", function=name, arguments=list(arguments))
        return at_desk
    # One worker of each machine: those of one machine have one environment. Without workers, the scheduler has to do.
    workers: dict[str, str] = {
        about["host"]: address for address, about in where.scheduler_info(n_workers=-1)["workers"].items()
    }
    answers: dict[str, Any] = where.run(function, *arguments, workers=list(workers.values()), on_error="ignore")
    return list(answers.values()) or [where.run_on_scheduler(function, *arguments)]
