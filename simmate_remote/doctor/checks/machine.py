"""The machine: clock, processors, memory, load, GPUs, who else is there, and how many workers that suggests."""

from __future__ import annotations

import shlex
import time
from typing import Any

from simmate_remote.cluster.workers import plan_workers
from simmate_remote.doctor.amounts import in_bytes
from simmate_remote.doctor.check import Check
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.finding import Finding
from simmate_remote.errors import Remedy

WORST_SKEW = 5.0
LITTLE_MEMORY = 1000**3
MEMORY_OF_A_WORKER = 2 * 1000**3
"""Bytes that a worker is given where nobody says otherwise."""

BUSY = 1.5
"""Load for each core above which a machine is busy."""

MANY_USERS = 5


class Clock(Check):
    """How much the host's clock differs from the one here, the way of the question taken off."""

    name = "clock"
    title = "the clock"
    why = "times of files and logs do not fit together, and make-like programs and licences go wrong"

    async def run(self, about: Examination) -> Finding:
        offsets = []
        for _ in range(3):
            before = time.time()
            there = await about.call("clock")
            after = time.time()
            offsets.append((after - before, there - (before + after) / 2))
        uncertain, skew = min(offsets)
        text = f"{abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
        data: dict[str, Any] = {"skew": round(skew, 3), "uncertain": round(uncertain / 2, 3)}
        if abs(skew) > WORST_SKEW + uncertain:
            return Finding.warning(
                f"it is {text}",
                Remedy(f"{about.ssh} timedatectl", "shows whether the host sets its clock by the network"),
                **data,
            )
        return Finding.ok(f"{text}, measured to {uncertain / 2:.3f} s", **data)


class Cores(Check):
    """How many processors there are, and how many of them we may use."""

    name = "cores"
    title = "processors"
    why = "more workers than that only wait for each other"

    async def run(self, about: Examination) -> Finding:
        found = await about.call("cores")
        usable = min(found["allowed"], found["quota"] or found["allowed"])
        data: dict[str, Any] = {**found, "usable": usable}
        if usable < found["all"]:
            return Finding.ok(f"{usable:g} of {found['all']} may be used", **data)
        return Finding.ok(f"{usable:g}", **data)


class Memory(Check):
    """How much memory there is, how much is available, and what the host allows us."""

    name = "memory"
    title = "memory"
    why = "the kernel ends processes when it runs out, and Dask restarts workers"

    async def run(self, about: Examination) -> Finding:
        found = await about.call("memory")
        text = f"{in_bytes(found['available'])} of {in_bytes(found['total'])} available"
        if found["limit"] is not None and found["limit"] < found["total"]:
            text += f", {in_bytes(found['limit'])} allowed to this login"
        if found["available"] < LITTLE_MEMORY:
            return Finding.warning(
                text, Remedy(f"{about.ssh} 'ps aux --sort -rss | head'", "shows who has it"), **found
            )
        return Finding.ok(text, **found)


class Load(Check):
    """How busy the processors have been."""

    name = "load"
    title = "load"
    why = "what runs there now takes the time of what you start"
    requires = ("cores",)

    async def run(self, about: Examination) -> Finding:
        one, five, fifteen = await about.call("load")
        cores = about.findings["cores"].data["all"]
        text = f"{one:.1f}, {five:.1f}, {fifteen:.1f} in the last 1, 5, 15 min on {cores} processors"
        data: dict[str, Any] = {"load": [one, five, fifteen]}
        if five > BUSY * cores:
            return Finding.warning(
                text, Remedy(f"{about.ssh} 'ps aux --sort -%cpu | head'", "shows who is busy"), **data
            )
        return Finding.ok(text, **data)


class Gpus(Check):
    """Which GPUs there are, whether their driver answers, and whether workers were promised more of them."""

    name = "gpus"
    title = "GPUs"
    why = "tasks that ask for a GPU wait for ever where there is none"

    async def run(self, about: Examination) -> Finding:
        found = await about.call("gpus")
        look = Remedy(f"{about.ssh} nvidia-smi", "asks the driver")
        if found["complaint"] or (found["devices"] and not found["gpus"]):
            return Finding.warning(
                f"the driver does not answer: {found['complaint'] or 'no nvidia-smi'}", look, **found
            )
        promised = about.host.workers.resources.get("GPU", 0) * (about.host.workers.count or 1)
        count = len(found["gpus"])
        text = ", ".join(f"{each['name']} ({each['busy_percent']} % busy)" for each in found["gpus"]) or "none"
        if found["amd"] and not count:
            return Finding.ok("of AMD; we do not count them", **found)
        if promised > count:
            shown = Remedy(
                f"simmate-remote hosts show {shlex.quote(about.host.name)}",
                "`workers.resources` says what each worker has",
            )
            return Finding.warning(f"{text}; the workers of the host's file have {promised:g}", shown, **found)
        return Finding.ok(text, **found)


class Users(Check):
    """Who else works on the machine, and how much of it they use at this moment."""

    name = "users"
    title = "others on the machine"
    why = "they share processors, memory and disks with your workers"
    requires = ("cores",)

    async def run(self, about: Examination) -> Finding:
        found = await about.call("users")
        if found["hidden"]:
            return Finding.ok("the host does not show the processes of others", **found)
        if not found["others"]:
            return Finding.ok("nobody", **found)
        names = ", ".join(f"{each['name']} ({each['cores']:.1f} cores)" for each in found["named"])
        text = f"{found['others']}: {names}"
        if found["others_cores"] > about.findings["cores"].data["all"] / 2:
            return Finding.warning(
                text, Remedy(f"{about.ssh} 'ps aux --sort -%cpu | head'", "shows what they run"), **found
            )
        return Finding.ok(text, **found)


class Workers(Check):
    """What number of workers the machine suggests, compared with the one of the host's file."""

    name = "workers"
    title = "workers"
    why = "too many make each other slow, or take the memory of the machine"
    requires = ("cores", "memory", "load", "login-node")

    async def run(self, about: Examination) -> Finding:
        cores, memory = about.findings["cores"].data, about.findings["memory"].data
        free = max(1, int(cores["usable"] - about.findings["load"].data["load"][1]))
        wanted = about.host.workers
        each = int(wanted.memory or MEMORY_OF_A_WORKER)
        allowed = min(memory["total"], memory["limit"] or memory["total"])
        suggested = max(1, min(free // (wanted.threads or 1), int(memory["available"] // each)))
        if about.findings["login-node"].wrong:
            suggested = 1
        plan = plan_workers(wanted.model_dump(), int(cores["usable"]))
        data: dict[str, Any] = {
            "suggested": suggested,
            "count": plan.count,
            "threads": plan.threads,
            "memory": plan.memory,
        }
        text = f"{plan.count} with {plan.threads} thread{'s' * (plan.threads > 1)} each"
        text += "" if wanted.count else " by default"
        wrong = []
        if plan.count * plan.threads > cores["usable"] and wanted.count:
            wrong.append(f"that is more than {cores['usable']:g} processors")
        if plan.memory is not None and plan.count * plan.memory > allowed:
            wrong.append(
                f"their {in_bytes(plan.count * plan.memory)} are more than the {in_bytes(allowed)} of the machine"
            )
        text += f"; {suggested} would fit at this moment"
        if wrong:
            shown = Remedy(
                f"simmate-remote hosts show {shlex.quote(about.host.name)}",
                "`workers:` says how many, and of what size",
            )
            return Finding.warning(f"{text}; {', and '.join(wrong)}", shown, **data)
        return Finding.ok(text, **data)


class LoginNode(Check):
    """Whether it is the login node of a cluster, by its queue system and the number of people on it."""

    name = "login-node"
    title = "a login node or not"
    why = "on a login node, work that takes long is ended, and its owner is written to"
    requires = ("users",)

    async def run(self, about: Examination) -> Finding:
        queues = await about.call("queues")
        others = about.findings["users"].data.get("others", 0)
        data: dict[str, Any] = {"queues": queues, "others": others}
        modest = Remedy(
            f"simmate-remote hosts show {shlex.quote(about.host.name)}",
            "`workers: {count: 1}` is modest; real work belongs into the queue",
        )
        if queues:
            shown = ", ".join(f"{name} ({program})" for program, name in queues.items())
            return Finding.warning(f"it hands work to {shown}, so it is a login node", modest, **data)
        if others >= MANY_USERS:
            return Finding.warning(f"{others} others are on it, so it may be a login node", modest, **data)
        return Finding.ok("no queue system was found", **data)
