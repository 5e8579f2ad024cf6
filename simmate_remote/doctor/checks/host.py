"""What becomes of our processes on the host, what it allows them, and what is there: channels, programs, leftovers."""

from __future__ import annotations

import asyncio
import shlex
import time

from simmate_remote.doctor.amounts import in_bytes
from simmate_remote.doctor.check import Check
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.finding import Finding
from simmate_remote.errors import ForbiddenByServerError, Remedy

LOWEST = {
    # A scheduler, four workers and their nannies have some 80 threads.
    "processes": (200, "processes and threads (ulimit -u)"),
    "group_processes": (200, "processes and threads (pids.max)"),
    "files": (1024, "open files (ulimit -n)"),
    "cpu_seconds": (24 * 3600, "seconds of processor time (ulimit -t)"),
    "address_space": (8 * 1000**3, "of address space (ulimit -v)"),
    "file_size": (10**9, "for a file (ulimit -f)"),
    "group_memory": (2 * 1000**3, "of memory (memory.max)"),
}
"""Each limit, below which it is worth a word, and what it is of."""

IN_BYTES = ("address_space", "file_size", "group_memory")


class Forwarding(Check):
    """Whether channels to a Unix socket there can be opened; one is really tried."""

    name = "forwarding"
    title = "channels to sockets"
    why = "without them, more traffic goes through commands, which cost a process each; all else works"

    async def run(self, about: Examination) -> Finding:
        path = (await about.call("listen"))["path"]
        try:
            transport, greeted = await about.link.open_socket(path, _Greeted)
            try:
                await greeted.greeted
            finally:
                transport.abort()
        except ForbiddenByServerError as error:
            return Finding.warning(
                f"the server forbids them: {error.what}",
                Remedy(
                    f"{about.ssh} 'grep -i forwarding /etc/ssh/sshd_config'",
                    "AllowStreamLocalForwarding is the administrator's",
                ),
                unix=False,
            )
        finally:
            await about.call("stop_listening", path=path)
        return Finding.ok("to Unix sockets they are allowed", unix=True)


class Logout(Check):
    """Whether what we start outlives the login: KillUserProcesses, lingering, and programs that end processes."""

    name = "logout"
    title = "after the logout"
    why = "otherwise scheduler, workers and their results are gone when the network, or the laptop, is"

    async def run(self, about: Examination) -> Finding:
        found = await about.call("logout")
        remedies = [
            Remedy(f"{about.ssh} {shlex.quote(command)}", "lets your processes outlive your logins")
            for _, command in found["warnings"]
        ]
        wrong = [what for what, _ in found["warnings"]] + [f"there is {name}" for name in found["killers"]]
        if not wrong and found["configured"] == "yes" and not found["lingers"]:
            wrong.append("KillUserProcesses=yes in logind.conf, and you do not linger")
            remedies.append(Remedy(f"{about.ssh} loginctl enable-linger", "lets your processes outlive your logins"))
        if found["killers"] and not remedies:
            remedies.append(
                Remedy(
                    f"simmate-remote hosts show {shlex.quote(about.host.name)}",
                    "`workers:` few and small; long work belongs into the queue",
                )
            )
        if wrong:
            return Finding.warning("; ".join(wrong), *remedies, **found)
        if found["prefix"]:
            return Finding.ok("your own service manager keeps it running", **found)
        return Finding.ok("nothing is known that would end it", **found)


class Limits(Check):
    """Limits of processes, open files, processor time and memory, by ulimit and by control groups, that are too low."""

    name = "limits"
    title = "limits"
    why = "scheduler, workers or programs are refused or killed where they reach one"

    async def run(self, about: Examination) -> Finding:
        found = await about.call("limits")
        low = [
            f"{in_bytes(found[name]) if name in IN_BYTES else found[name]} {of}"
            for name, (enough, of) in LOWEST.items()
            if found[name] is not None and found[name] < enough
        ]
        if low:
            return Finding.warning(
                f"only {', '.join(low)}",
                Remedy(f"{about.ssh} 'ulimit -Ha'", "shows them all; only the administrator can raise them"),
                **found,
            )
        processes = found["processes"] or found["group_processes"]
        return Finding.ok(
            f"{processes or 'any number of'} processes, {found['files'] or 'any number of'} open files", **found
        )


class Programs(Check):
    """The programs and data that `programs:` of the host's file names: found, executable, loadable, not empty."""

    name = "programs"
    title = "programs"
    why = "tasks that call them fail, each by itself, when they run"
    limit = 20.0

    async def run(self, about: Examination) -> Finding:
        if not about.host.programs:
            return Finding.ok("the host's file names none")
        found = await about.call("programs", programs=about.host.programs)
        wrong = [f"{name}: {each['problem']}" for name, each in found.items() if each["problem"] is not None]
        if wrong:
            return Finding.failed(
                "; ".join(wrong),
                Remedy(f"simmate-remote hosts show {shlex.quote(about.host.name)}", "`programs:` says where they are"),
                Remedy(
                    f"{about.ssh} 'echo $PATH; command -v module'",
                    "shows what a login has; modules are not loaded by themselves",
                ),
                programs=found,
            )
        return Finding.ok(", ".join(f"{name} ({each['path']})" for name, each in found.items()), programs=found)


class Leftovers(Check):
    """What of ours is there: keepers that live, and folders and processes of some that died."""

    name = "leftovers"
    title = "what is ours there"
    why = "what a killed keeper left takes room, or goes on for nobody"

    async def run(self, about: Examination) -> Finding:
        found = await about.call("leftovers", folder=about.host.folder)
        name = shlex.quote(about.host.name)
        wrong, remedies = [], []
        if count := len(found["dead_folders"]):
            wrong.append(
                f"{count} folder{'s' * (count > 1)} of keepers that died ({', '.join(found['dead_folders'][:3])})"
            )
            remedies.append(Remedy(f"simmate-remote doctor {name} --only leftovers --fix", "removes them"))
        if found["orphans"]:
            # Numbers: this is for a person to type, and the host has said it.
            pids = " ".join(str(int(pid)) for pid in found["orphans"])
            wrong.append(f"processes without a keeper: {pids}")
            remedies.append(Remedy(f"{about.ssh} kill {pids}", "ends them"))
        living = [each for each in found["keepers"] if each["alive"]]
        text = (
            "nothing lives there"
            if not living
            else ", ".join(
                f"a keeper on {each['hostname']} since {time.strftime('%Y-%m-%d %H:%M', time.localtime(each['since']))}"
                for each in living
            )
        )
        if wrong:
            return Finding.warning(f"{text}; {'; '.join(wrong)}", *remedies, **found)
        return Finding.ok(text, **found)

    async def fix(self, about: Examination, finding: Finding) -> str | None:
        if not finding.data.get("dead_folders"):
            return None
        return f"removed {', '.join(await about.call('remove_leftovers', folder=about.host.folder))}"


class _Greeted(asyncio.Protocol):
    def __init__(self) -> None:
        self.greeted: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if not self.greeted.done():
            self.greeted.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.greeted.done():
            self.greeted.set_exception(exc or ForbiddenByServerError("the channel was closed at once"))
