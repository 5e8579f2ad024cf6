"""The folders that we use on the host: home, our own, scratch, and the one for sockets."""

from __future__ import annotations

import re
import shlex
from typing import Any

from simmate_remote.doctor.amounts import in_bytes
from simmate_remote.doctor.check import Check
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.finding import Finding, worst
from simmate_remote.errors import Remedy

LITTLE_HOME = 100 * 1000**2
LITTLE_FOLDER = 1000**3
"""Bytes below which an environment with Dask does not fit."""

LITTLE_RUNTIME = 10 * 1000**2
FEW_INODES = 20_000
"""An environment with Dask has some 15,000 files."""

SLOW_WRITE = 2.0
"""Seconds for 1 MiB that are worth a word."""

USUAL_PATH = re.compile(r"[A-Za-z0-9/._@%+=:,-]+")
CLOSE_TO_QUOTA = 0.9


class _Place(Check):
    """Looks at one folder."""

    little: int
    limit = 20.0

    async def examined(self, about: Examination, path: str) -> Finding:
        """Look at a folder on the host."""
        found = await about.call("place", path=path)
        return worst([self._writable(about, found), *self._roomy(about, found), *self._sound(about, found)])

    def _writable(self, about: Examination, found: dict[str, Any]) -> Finding:
        place, tried = found["path"], found["tried"]
        shown = f"{place}" if found["exists"] else f"{place} (not there yet)"
        data: dict[str, Any] = {self.name: found}
        text = f"{shown}, {in_bytes(found['free'])} free, {found['type'] or 'an unknown file system'}"
        if found["write"] is not None:
            hosts = Remedy(
                f"simmate-remote hosts show {shlex.quote(about.host.name)}",
                "`folder:` names another place for our files",
            )
            look = Remedy(
                f"{about.ssh} {shlex.quote(f'df -h {shlex.quote(tried)}; ls -ld {shlex.quote(tried)}')}",
                "shows whose it is, and how full",
            )
            return Finding.failed(f"{tried} cannot be written: {found['write']}", hosts, look, **data)
        return Finding.ok(text, **data)

    def _roomy(self, about: Examination, found: dict[str, Any]) -> list[Finding]:
        wrong = []
        place = shlex.quote(found["tried"])
        used = Remedy(f"{about.ssh} {shlex.quote(f'du -xh {place} | sort -h | tail')}", "shows what is large there")
        if found["free"] < self.little:
            wrong.append(
                Finding.warning(
                    f"only {in_bytes(found['free'])} of {in_bytes(found['size'])} are free in {found['tried']}", used
                )
            )
        if found["inodes"] and found["inodes_free"] < FEW_INODES:
            wrong.append(Finding.warning(f"only {found['inodes_free']} further files fit on {found['mount']}", used))
        return wrong

    def _sound(self, about: Examination, found: dict[str, Any]) -> list[Finding]:
        if found["write"] is not None:
            return []
        wrong = []
        place = f"{found['tried']} ({found['type']})"
        elsewhere = Remedy(
            f"simmate-remote hosts show {shlex.quote(about.host.name)}",
            "`folder:` names a place on another file system",
        )
        if broken := [name for name in ("flock", "lockf") if found[name] is not None]:
            wrong.append(
                Finding.warning(
                    f"files in {place} cannot be locked ({', '.join(broken)}: {found[broken[0]]})",
                    elsewhere,
                    why="two logins at the same moment could start two keepers, and programs that lock files fail",
                )
            )
        if found["seconds"] > SLOW_WRITE:
            wrong.append(Finding.warning(f"writing 1 MiB to {place} took {found['seconds']:.1f} s", elsewhere))
        return wrong


class Home(_Place):
    """The home folder: can it be written, space, quota, number of files, file system, locks, odd characters."""

    name = "home"
    title = "the home folder"
    why = "programs write there whether asked or not, and many end when they cannot"
    little = LITTLE_HOME

    async def run(self, about: Examination) -> Finding:
        finding = await self.examined(about, "~")
        home = str(finding.data["home"]["path"])
        if finding.status == "failed" and not about.host.folder.startswith(("~/", f"{home}/")):
            # What is ours lives elsewhere; programs may still want to write there.
            finding = Finding.warning(finding.reason, *finding.remedies, **finding.data)
        findings = [finding, *await self._quota(about)]
        if not USUAL_PATH.fullmatch(home):
            findings.append(
                Finding.warning(
                    f"the path {home!r} has unusual characters",
                    Remedy(
                        f"simmate-remote hosts show {shlex.quote(about.host.name)}",
                        "`folder:` names another place for our files",
                    ),
                    why="we cope with it; many programs and most shell scripts do not",
                )
            )
        return worst(findings)

    async def _quota(self, about: Examination) -> list[Finding]:
        findings = []
        for each in await about.call("quota"):
            ways = [("used", "allowed", in_bytes), ("files", "files_allowed", "{} files".format)]
            for used, allowed, shown in ways:
                if each[allowed] and (each["over"] or each[used] > CLOSE_TO_QUOTA * each[allowed]):
                    text = f"{shown(each[used])} of the quota of {shown(each[allowed])} on {each['place']} are used"
                    findings.append(Finding.warning(text, Remedy(f"{about.ssh} quota -s", "shows it")))
                    break
        return findings


class Folder(_Place):
    """The folder of the host's file, where our package, environment and runs live; or where it would be made."""

    name = "folder"
    title = "our folder"
    why = "the package, the environment and the runs are there"
    little = LITTLE_FOLDER

    async def run(self, about: Examination) -> Finding:
        return await self.examined(about, about.host.folder)


class Scratch(_Place):
    """The site's folder for large files, by the usual variables and places: can it be written, space, locks."""

    name = "scratch"
    title = "scratch"
    why = "it is where large files belong, if home is small or slow"
    little = LITTLE_FOLDER

    async def run(self, about: Examination) -> Finding:
        path = await about.call("scratch")
        if path is None:
            return Finding.ok("none that we know to find; the home folder serves")
        finding = await self.examined(about, path)
        if finding.status == "failed":  # nothing of ours is there by itself
            return Finding.warning(finding.reason, *finding.remedies, **finding.data)
        return finding


class RuntimeFolder(Check):
    """The folder for sockets, as a keeper makes it: do sockets work, is there room, may programs be run there."""

    name = "runtime-folder"
    title = "the folder for sockets"
    why = "a keeper, the dashboard and the database listen on sockets there"

    async def run(self, about: Examination) -> Finding:
        found = await about.call("runtime")
        if found["path"] is None:
            look = Remedy(f"{about.ssh} 'ls -ld /tmp /var/tmp /dev/shm'", "shows who may write there")
            return Finding.failed(found["problem"], look, **found)
        parent = found["path"].rpartition("/")[0] or "/"
        data = {"parent": parent, **found}
        look = Remedy(
            f"{about.ssh} {shlex.quote(f'df -h {shlex.quote(parent)}; ls -ld {shlex.quote(parent)}')}",
            "shows whose it is, and how full",
        )
        if found["socket"] is not None:
            return Finding.failed(f"no socket can be made in {parent}: {found['socket']}", look, **data)
        text = f"in {parent}, {in_bytes(found['free'])} free, {found['type']}"
        if found["free"] < LITTLE_RUNTIME:
            return Finding.warning(text, look, **data)
        if "noexec" in found["options"]:
            return Finding.warning(
                f"{text}, and no program may be run from there (noexec)",
                Remedy(
                    f"simmate-remote hosts show {shlex.quote(about.host.name)}",
                    "`workers: {environment: {TMPDIR: …}}` names another place",
                ),
                why="some MPI libraries and compilers at run time put programs there",
                **data,
            )
        return Finding.ok(text, **data)
