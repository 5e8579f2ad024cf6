"""What this machine knows of a host before anything is contacted: the SSH configuration, the name, the session."""

from __future__ import annotations

import asyncio
import shlex
import socket
from typing import Any

from simmate_remote.doctor.check import Check, Stage
from simmate_remote.doctor.config_lines import ConfigLine, Lines, find_lines
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.finding import Finding
from simmate_remote.errors import NoSessionError, Remedy
from simmate_remote.link.target import parse_target
from simmate_remote.session.client import find

SHOWN = ("hostname", "user", "port", "identityfile", "proxyjump", "proxycommand", "certificatefile", "identityagent")
DANGEROUS = {
    "stricthostkeychecking": (("no", "off"), "a new key is accepted without a question, whoever shows it"),
    "forwardagent": (("yes",), "whoever is root there can use your keys while you are connected"),
    "forwardx11trusted": (("yes",), "whoever is root there can read your keyboard while X11 is forwarded"),
    "userknownhostsfile": (("/dev/null", "none"), "no key is remembered, so a wrong one is never noticed"),
    "nohostauthenticationforlocalhost": (("yes",), "what is reached through a forwarded port is not checked"),
}
SILENCE = 5.0
"""Seconds for a session to answer."""

OUTDATED = ("3des-cbc", "arcfour", "blowfish-cbc", "ssh-dss", "diffie-hellman-group1-sha1", "hmac-md5")


class SshConfig(Check):
    """What ~/.ssh/config resolves to for this host, from which lines, and settings in it that are dangerous."""

    name = "ssh-config"
    title = "the SSH configuration"
    why = "it decides where a login goes, and who may listen to it"
    stage = Stage.WAY

    async def run(self, about: Examination) -> Finding:
        way = await about.way()
        settings = way[-1].settings
        target = parse_target(about.host.ssh)
        lines = await asyncio.to_thread(find_lines, target, about.host.ssh_config)
        leads = f"{settings.user}@{settings.host} port {settings.port}"
        jumps = " over " + ", then ".join(hop.address for hop in way[:-1]) if len(way) > 1 else ""
        data: dict[str, Any] = {
            "hostname": settings.host,
            "user": settings.user,
            "port": settings.port,
            "jumps": [hop.address for hop in way[:-1]],
            "proxy_command": settings.proxy_command,
            "lines": [_described(line) for line in lines.applying if line.option in SHOWN],
            "undecided": [_described(line) for line in lines.undecided],
            "files": [str(file) for file in lines.files],
        }
        remedy = Remedy(way[-1].ssh("-G"), "shows all that the configuration says")
        if dangers := _dangers(lines):
            return Finding.warning(
                f"{leads}{jumps}; {'; '.join(dangers)}", remedy, why="it gives others what is yours", **data
            )
        said = lines.get("hostname") or lines.get("user") or lines.get("port")
        return Finding.ok(f"{leads}{jumps}" + (f" ({said})" if said else ""), **data)


class Name(Check):
    """Whether the name of the machine that is dialled first has an address."""

    name = "name"
    title = "the name's address"
    why = "without an address nothing can be contacted; often the VPN is down"
    stage = Stage.WAY
    requires = ("ssh-config",)

    async def run(self, about: Examination) -> Finding:
        way = await about.way()
        first = way[0].settings
        if first.proxy_command is not None:
            return Finding.ok("a ProxyCommand leads there; it looks for the name itself")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(first.host, first.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            words = error.strerror if isinstance(error, OSError) else str(error)
            return Finding.failed(
                f"no address was found for {first.host}: {words}",
                Remedy(
                    shlex.join(["getent", "hosts", "--", first.host]), "asks the system for the name; is the VPN up?"
                ),
                Remedy(way[-1].ssh("-G"), "shows which HostName the SSH configuration gives"),
            )
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        return Finding.ok(f"{first.host} is {', '.join(addresses)}", addresses=addresses)


class Session(Check):
    """Whether a session is connected to the host, and whether it answers."""

    name = "session"
    title = "the session"
    why = "commands and programs of yours on this machine go through it"
    stage = Stage.WAY
    limit = 20.0

    async def run(self, about: Examination) -> Finding:
        try:
            session = await find(about.host)
        except NoSessionError:
            return Finding.ok("nothing is connected", state=None)
        try:
            async with asyncio.timeout(SILENCE):
                report = await session.status()
        except TimeoutError:
            return Finding.warning(
                "the session does not answer",
                Remedy(f"simmate-remote disconnect {shlex.quote(about.host.name)}", "ends it"),
                state="silent",
            )
        finally:
            session.close()
        state = str(report["state"])
        text = f"{state}; this examination makes a login of its own"
        if state in ("reconnecting", "waiting for you"):
            remedy = Remedy(
                f"simmate-remote connect {shlex.quote(about.host.name)}", "tries at once, and asks what there is to ask"
            )
            return Finding.warning(text, remedy, state=state)
        return Finding.ok(text, state=state)


def _dangers(lines: Lines) -> list[str]:
    found = []
    for option, (values, why) in DANGEROUS.items():
        line = lines.get(option)
        if line is not None and line.value.lower() in values:
            found.append(f"{_name(line)} {line.value} ({line}): {why}")
    for option in ("ciphers", "kexalgorithms", "hostkeyalgorithms", "macs", "pubkeyacceptedalgorithms"):
        line = lines.get(option)
        if line is None or line.value.startswith("-"):
            continue
        if old := [name for name in OUTDATED if name in line.value.lower().lstrip("+^").split(",")]:
            found.append(f"{_name(line)} allows {', '.join(old)} ({line}), which can be broken")
    return found


def _name(line: ConfigLine) -> str:
    names = ("StrictHostKeyChecking", "ForwardAgent", "ForwardX11Trusted", "UserKnownHostsFile", "KexAlgorithms")
    return next((name for name in names if name.lower() == line.option), line.option)


def _described(line: ConfigLine) -> dict[str, object]:
    return {"option": line.option, "value": line.value, "file": str(line.file), "line": line.number}
