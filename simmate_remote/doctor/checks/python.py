"""The Python on the host, and its versions."""

from __future__ import annotations

import shlex
import sys

from simmate_remote.doctor.check import Check, Stage
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.finding import Finding
from simmate_remote.environment.versions import COMPARED, compare
from simmate_remote.errors import Remedy, SimmateRemoteError

PROBE = (
    "exec /bin/sh -c 'for p in /usr/bin/python3* /usr/local/bin/python3* $HOME/.local/bin/python3* "
    "$HOME/.local/share/uv/python/*/bin/python3 $HOME/*conda*/bin/python $HOME/*forge*/bin/python /opt/*/bin/python3; "
    'do [ -x "$p" ] && echo "$p"; done; command -v module modulecmd uv conda; true\''
)


class Python(Check):
    """Which Python is found on the host, and whether programs of ours run there."""

    name = "python"
    title = "Python there"
    why = "functions travel only between equal minor versions of Python"
    stage = Stage.HOST
    requires = ("authentication", "login-shell")
    limit = 20.0

    async def run(self, about: Examination) -> Finding:
        setup = Remedy(f"simmate-remote setup {shlex.quote(about.host.name)}", "puts a Python there that fits")
        if about.found is None:
            assert about.arrival_error is not None
            finding = Finding.of(about.arrival_error)
            output = await about.command(PROBE)
            found = [line for line in output.stdout.splitlines() if line.startswith("/") and "config" not in line]
            there = f"; there are {', '.join(found[:6])}" if found else ""
            return Finding.failed(f"{finding.reason}{there}", setup, *finding.remedies, **finding.data, pythons=found)
        python = await about.call("python")
        version = ".".join(map(str, python["version"]))
        text = f"{version}, {python['executable']}"
        here = list(sys.version_info[:2])
        if python["version"][:2] != here:
            named = Remedy(
                f"simmate-remote hosts show {shlex.quote(about.host.name)}", "`python:` names another interpreter"
            )
            # Our own programs run with it all the same, so what follows can be looked at.
            return Finding.warning(f"{text}; here it is {'.'.join(map(str, here))}", setup, named, **python)
        if not python["ssl"]:
            return Finding.warning(f"{text}, has no ssl module; scheduler and workers speak TLS", setup, **python)
        return Finding.ok(text + ("" if python["venv"] else " (it cannot make environments: no ensurepip)"), **python)


class Versions(Check):
    """Whether dask, distributed and what they speak with have versions that work with those here."""

    name = "versions"
    title = "versions there and here"
    why = "client, scheduler and workers speak a protocol that changes with each release"
    stage = Stage.HOST

    async def run(self, about: Examination) -> Finding:
        assert about.found is not None
        there = await about.call("versions", names=list(COMPARED))
        setup = Remedy(
            f"simmate-remote setup {shlex.quote(about.host.name)}", "makes an environment there that equals this one"
        )
        try:
            warnings = compare(about.host.name, about.ssh, about.found.python, about.found.executable, there)
        except SimmateRemoteError as error:
            found = Finding.of(error)
            return Finding.failed(found.reason, setup, *found.remedies, **found.data, versions=there)
        if warnings:
            return Finding.warning("; ".join(warnings), setup, versions=there)
        return Finding.ok(", ".join(f"{name} {there[name]}" for name in COMPARED[:2]), versions=there)
