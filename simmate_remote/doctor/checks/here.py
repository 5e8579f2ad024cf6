"""This machine: inventory, Python, loopback, folders, limits, and what old sessions left."""

from __future__ import annotations

import asyncio
import resource
import shlex
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any

import platformdirs
from packaging.requirements import Requirement

from simmate_remote.doctor.amounts import in_bytes
from simmate_remote.doctor.check import Check, Stage
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.finding import Finding, worst
from simmate_remote.doctor.host.places import look
from simmate_remote.errors import Remedy
from simmate_remote.inventory import list_hosts
from simmate_remote.inventory.runtime_folder import runtime_folder

PROJECT = "simmate-remote"
LITTLE_SPACE = 200 * 1000**2
FEW_DESCRIPTORS = 256
"""Of each session some 40 are open; each stream of a client adds two."""


class HereInventory(Check):
    """Whether each file of the inventory can be used, and whether a folder waits to be trusted."""

    name = "here-inventory"
    title = "the inventory"
    why = "a host whose file is wrong, or not trusted, cannot be connected to"
    stage = Stage.HERE

    async def run(self, about: Examination) -> Finding:
        entries = await asyncio.to_thread(list_hosts)
        findings = []
        for entry in entries:
            show = Remedy(
                f"simmate-remote hosts show {shlex.quote(entry.name)}", "says what is wrong, and what would be right"
            )
            if entry.state == "wrong":
                findings.append(Finding.warning(f"{entry.source}: {(entry.problem or '').partition(chr(10))[0]}", show))
        if waiting := [entry.name for entry in entries if entry.state in ("untrusted", "changed")]:
            trust = Remedy("simmate-remote hosts trust", "shows what the files of ./hosts say, and asks")
            findings.append(Finding.warning(f"{', '.join(waiting)}: their folder is not trusted as it is", trust))
        hosts = [entry.name for entry in entries if entry.state == "ready"]
        return worst([*findings, Finding.ok(f"{len(hosts)} host{'s' * (len(hosts) != 1)}", hosts=hosts)])


class HerePython(Check):
    """Whether this Python and what is installed with it are versions that simmate-remote was tried with."""

    name = "here-python"
    title = "Python here"
    why = "what was never tried together may fail in odd ways"
    stage = Stage.HERE

    async def run(self, about: Examination) -> Finding:
        minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
        tried = [
            line.rpartition(" ")[2]
            for line in metadata(PROJECT).get_all("Classifier") or []
            if ":: Python :: 3." in line
        ]
        update = Remedy("python -m pip install --upgrade simmate-remote", "brings what it needs along")
        wrong = []
        if minor not in tried:
            wrong.append(f"Python {minor} was not tried ({', '.join(tried)} were)")
        versions = {}
        for text in requires(PROJECT) or []:
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            try:
                versions[requirement.name] = version(requirement.name)
            except PackageNotFoundError:
                wrong.append(f"{requirement.name} is not installed")
                continue
            if not requirement.specifier.contains(versions[requirement.name], prereleases=True):
                wrong.append(
                    f"{requirement.name} is {versions[requirement.name]}, and {requirement.specifier} is needed"
                )
        data: dict[str, Any] = {"python": sys.version.split()[0], "executable": sys.executable, "versions": versions}
        if wrong:
            return Finding.warning("; ".join(wrong), update, **data)
        return Finding.ok(f"Python {data['python']}, distributed {versions['distributed']}", **data)


class HereLoopback(Check):
    """Whether a port of 127.0.0.1 can be opened and reached."""

    name = "here-loopback"
    title = "loopback"
    why = "Dask clients and browsers reach a host through ports of 127.0.0.1 here"
    stage = Stage.HERE

    async def run(self, about: Examination) -> Finding:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            try:
                async with asyncio.timeout(3):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    await reader.read()
            except (OSError, TimeoutError) as error:
                return Finding.failed(f"port {port} of 127.0.0.1 cannot be reached from here: {error or 'no answer'}")
            writer.close()
        return Finding.ok("ports of 127.0.0.1 can be opened and reached")


class HereRuntimeFolder(Check):
    """The folder of the sessions' sockets: is it ours alone, and do sockets work there."""

    name = "here-runtime-folder"
    title = "the folder for sockets"
    why = "each session listens on a socket there"
    stage = Stage.HERE

    async def run(self, about: Examination) -> Finding:
        folder = runtime_folder()
        found = await asyncio.to_thread(look, str(folder))
        if problem := found["write"] or found["socket"]:
            shown = Remedy(
                f"ls -ld {shlex.quote(str(folder))}", "shows whose it is; XDG_RUNTIME_DIR names another place"
            )
            return Finding.failed(f"no socket can be made in {folder}: {problem}", shown, folder=str(folder))
        return Finding.ok(str(folder), folder=str(folder))


class HereDisk(Check):
    """Room, and the right to write, in the folders for configuration, state and cache."""

    name = "here-disk"
    title = "disk space here"
    why = "logs, what is trusted, and wheels for hosts are kept there"
    stage = Stage.HERE

    async def run(self, about: Examination) -> Finding:
        return worst([await asyncio.to_thread(_room, Path(place)) for place in _own_folders()])


class HereDescriptors(Check):
    """How many files a process may have open here."""

    name = "here-descriptors"
    title = "open files here"
    why = "each stream of a session is one, and a session that runs out of them loses what it carries"
    stage = Stage.HERE

    async def run(self, about: Examination) -> Finding:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < FEW_DESCRIPTORS:
            return Finding.warning(f"only {soft} at once (ulimit -n)", soft=soft, hard=hard)
        return Finding.ok("any number" if soft == resource.RLIM_INFINITY else f"{soft} at once", soft=soft, hard=hard)


def _own_folders() -> Iterator[str]:
    yield platformdirs.user_config_path(PROJECT).as_posix()
    yield platformdirs.user_state_path(PROJECT).as_posix()
    yield platformdirs.user_cache_path(PROJECT).as_posix()


def _room(folder: Path) -> Finding:
    found = look(str(folder))
    data: dict[str, Any] = {str(folder): {"free": found["free"], "tried": found["tried"]}}
    shown = Remedy(f"ls -ld {shlex.quote(found['tried'])}", "shows whose it is")
    if found["write"] is not None:
        return Finding.failed(f"{found['tried']} cannot be written: {found['write']}", shown, **data)
    if found["free"] < LITTLE_SPACE:
        return Finding.warning(f"only {in_bytes(found['free'])} are free in {found['tried']}", shown, **data)
    return Finding.ok(f"{in_bytes(found['free'])} free in {found['tried']}", **data)
