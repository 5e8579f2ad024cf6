"""The database: is it what was meant, does it answer, is there room for it, and can workers use it."""

from __future__ import annotations

import asyncio
import shlex
import shutil
from pathlib import Path
from typing import Any

from simmate_remote.database.configuration import load
from simmate_remote.database.schema import known_versions, refuse_newer
from simmate_remote.database.state import look
from simmate_remote.doctor.amounts import in_bytes
from simmate_remote.doctor.check import Check, Stage
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.finding import Finding
from simmate_remote.errors import Remedy

LITTLE_SPACE = 500 * 1000**2
NEEDED_THERE = ("SQLAlchemy", "psycopg")


class HereDatabase(Check):
    """Which database is used, whether it answers, and whether its tables are of this version of the program."""

    name = "here-database"
    title = "the database"
    why = "runs and results are kept there"
    stage = Stage.HERE
    limit = 40.0

    async def run(self, about: Examination) -> Finding:
        state = await asyncio.to_thread(look, await asyncio.to_thread(load))
        text = f"{state.address}: {state.state}"
        data: dict[str, Any] = {name: getattr(state, name) for name in ("kind", "state", "version", "server")}
        refuse_newer(state.version, known_versions())
        if state.version is not None and state.version != state.expected:
            upgrade = Remedy("simmate-remote database upgrade", f"brings them to version {state.expected}")
            return Finding.warning(f"{text}; its tables are of version {state.version}", upgrade, **data)
        return Finding.ok(text, **data)


class HereDatabaseDisk(Check):
    """Room, and who may enter, where the database of this machine is."""

    name = "here-database-disk"
    title = "the disk under the database"
    why = "a database without room takes no rows, and one that others can enter is not yours alone"
    stage = Stage.HERE

    async def run(self, about: Examination) -> Finding:
        configuration = await asyncio.to_thread(load)
        if configuration.kind == "postgresql":
            return Finding.ok("the database has a server of its own")
        place = configuration.folder if configuration.kind == "embedded" else Path(configuration.url)
        shown = Remedy(f"ls -ld {shlex.quote(str(place))}", "shows whose it is, and who may enter")
        if configuration.kind == "embedded" and place.exists() and place.stat().st_mode & 0o077:
            close = Remedy(f"chmod 700 {shlex.quote(str(place))}", "keeps it to yourself")
            return Finding.failed(f"others can enter {place}, so the database does not start", close, shown)
        there = next(each for each in (place, *place.parents) if each.is_dir())
        free = shutil.disk_usage(there).free
        if free < LITTLE_SPACE:
            room = Remedy(f"df -h {shlex.quote(str(there))}", "shows what is full")
            return Finding.warning(f"only {in_bytes(free)} are free in {there}", room, free=free)
        return Finding.ok(f"{in_bytes(free)} free in {there}", free=free)


class Database(Check):
    """Whether the Python on the host has what workers need to use the database."""

    name = "database"
    title = "the database there"
    why = "a task that uses the database fails without it; all else works"
    stage = Stage.HOST

    async def run(self, about: Examination) -> Finding:
        there = await about.call("versions", names=list(NEEDED_THERE))
        if missing := [name for name in NEEDED_THERE if there[name] is None]:
            setup = Remedy(f"simmate-remote setup {shlex.quote(about.host.name)}", "brings what is missing there")
            return Finding.warning(f"no {' and no '.join(missing)} there", setup, versions=there)
        return Finding.ok(", ".join(f"{name} {version}" for name, version in there.items()), versions=there)
