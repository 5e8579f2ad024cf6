"""The one login: what was reached, which server it is, whether its key is known, and how it let us in."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from typing import Any

from simmate_remote.doctor.check import Check, Stage
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.finding import Finding, worst
from simmate_remote.errors import (
    AuthenticationError,
    ConnectionRefusedByHostError,
    ConnectTimeoutError,
    HostKeyChangedError,
    HostKeyUnknownError,
    LinkError,
    NameNotResolvedError,
    Remedy,
    SSHConfigError,
)
from simmate_remote.link.hop import Hop
from simmate_remote.link.host_keys import read_known_hosts
from simmate_remote.link.keys import is_encrypted
from simmate_remote.link.known_hosts import Standing

KNOCK_LIMIT = 3.0
OLDEST_GOOD = (7, 4)
OPENSSH = re.compile(r"OpenSSH_(\d+)\.(\d+)")


class Tcp(Check):
    """Whether the first machine on the way takes a TCP connection."""

    name = "tcp"
    title = "the connection"
    why = "nothing goes without it; firewalls, VPNs and machines that are down end it here"
    stage = Stage.LOGIN
    requires = ("name",)

    async def run(self, about: Examination) -> Finding:
        error = about.attempt.error
        unreached = isinstance(error, ConnectionRefusedByHostError | ConnectTimeoutError | NameNotResolvedError)
        if isinstance(error, LinkError) and unreached and not error.reached_server:
            first = (await about.way())[0].settings
            if (
                first.proxy_command is None
                and isinstance(error, ConnectTimeoutError)
                and await _knock(first.host, first.port)
            ):
                return Finding.ok(f"port {first.port} of {first.host} is open", silent=True)
            return Finding.of(error)
        reached = about.attempt.link.report.address if about.attempt.link else (await about.way())[-1].address
        return Finding.ok(f"{reached or 'the host'} answers")


class SshVersion(Check):
    """Whether an SSH server answers, which one, and whether it is too old."""

    name = "ssh-version"
    title = "the SSH server"
    why = "other servers than OpenSSH, and old ones, lack what we use; old ones also have known holes"
    stage = Stage.LOGIN
    requires = ("tcp",)

    async def run(self, about: Examination) -> Finding:
        error = about.attempt.error
        if about.findings["tcp"].data.get("silent") and isinstance(error, ConnectTimeoutError):
            return Finding.of(error)
        if isinstance(error, ConnectionRefusedByHostError | ConnectTimeoutError | SSHConfigError):
            return Finding.of(error)
        if about.attempt.link is None:
            return Finding.ok("an SSH server answered")
        server = about.attempt.link.report.server
        if not server:
            return Finding.ok("an SSH server answers; the ssh program does not say which")
        shown = server.removeprefix("SSH-2.0-")
        version = OPENSSH.search(server)
        if version is None:
            return Finding.warning(f"{shown} is not OpenSSH; it works so far, and was not tried much", server=server)
        if (int(version[1]), int(version[2])) < OLDEST_GOOD:
            return Finding.warning(f"{shown} is older than {'.'.join(map(str, OLDEST_GOOD))}, of 2016", server=server)
        return Finding.ok(shown, server=server)


class HostKey(Check):
    """Whether the host's key is known, from which line, or has changed, or is revoked."""

    name = "host-key"
    title = "the host's key"
    why = "it tells the host from somebody who stands between and reads all that is sent"
    stage = Stage.LOGIN
    requires = ("ssh-version",)

    async def run(self, about: Examination) -> Finding:
        if isinstance(about.attempt.error, HostKeyUnknownError | HostKeyChangedError):
            return Finding.of(about.attempt.error)
        hop = (await about.way())[-1]
        known = await asyncio.to_thread(read_known_hosts, hop)
        keys = [key for key in known.keys + known.without_port if key.marker != "@revoked"]
        if not keys:
            return Finding.ok(f"known as {hop.known_as}, and in no file that is read here")
        shown = ", ".join(f"{key.algorithm} ({key.file} line {key.line})" for key in keys[:3])
        lines = [{"algorithm": key.algorithm, "file": str(key.file), "line": key.line} for key in keys]
        return Finding.ok(f"known: {shown}", known=lines, standing=Standing.KNOWN.value)


class Authentication(Check):
    """Which methods were tried, with which result; and key files: missing, readable by others, with a passphrase."""

    name = "authentication"
    title = "the login"
    why = "a login that needs a person cannot be made again by itself after an outage"
    stage = Stage.LOGIN
    requires = ("host-key",)

    async def run(self, about: Examination) -> Finding:
        hop = (await about.way())[-1]
        keys = await asyncio.to_thread(_key_files, hop)
        if about.attempt.link is None:
            assert about.attempt.error is not None
            finding = Finding.of(about.attempt.error)
            if isinstance(about.attempt.error, AuthenticationError):
                return worst([finding, *keys])
            return finding
        report = about.attempt.link.report
        tried = list(report.methods)
        last = tried[-1] if tried else ""
        shown = f"{report.user} was let in" + (f" by {last}" if last else "")
        if len(tried) > 1:
            shown += f", after {', '.join(tried[:-1])}"
        data: dict[str, Any] = {"user": report.user, "methods": tried, "shared": report.shared}
        if last == "password":
            name = shlex.quote(about.host.name)
            login = Finding.warning(
                f"{shown}, which has to be typed at each login",
                Remedy(
                    f"simmate-remote setup {name}",
                    "offers to make a key, so that it is typed once more, and never again",
                ),
                **data,
            )
        elif last == "keyboard-interactive":
            login = Finding.ok(f"{shown}; a person is needed at each login, after an outage too", **data)
        else:
            login = Finding.ok(shown, **data)
        return worst([login, *keys])


def _key_files(hop: Hop) -> list[Finding]:
    """Look at the key files that the configuration names."""
    settings = hop.settings
    if settings.value("pubkeyauthentication").lower() in ("no", "false"):
        return []
    named = set(settings.options.get("identityfile", [])) - set(settings.defaults.get("identityfile", []))
    chosen = {path for path in settings.paths("identityfile") if named}
    found = []
    for path in settings.paths("identityfile"):
        shown = shlex.quote(str(path))
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            if path in chosen and not path.with_name(f"{path.name}.pub").exists():
                found.append(Finding.warning(f"the key {path}, which the configuration names, is not there"))
            continue
        except OSError as error:
            found.append(
                Finding.warning(
                    f"the key {path} cannot be read: {error.strerror}", Remedy(f"ls -l {shown}", "shows whose it is")
                )
            )
            continue
        if b"PRIVATE KEY-----" not in content:
            continue
        if path.stat().st_mode & 0o077:
            found.append(
                Finding.warning(
                    f"the key {path} can be read by others, so ssh does not use it",
                    Remedy(f"chmod 600 {shown}", "makes it yours alone"),
                )
            )
        if is_encrypted(content) and not _has_agent(settings.options.get("identityagent", [])):
            found.append(
                Finding.warning(
                    f"the key {path} has a passphrase, and no agent holds it: it is asked at each login",
                    Remedy(f"ssh-add {shown}", "gives an agent the key; `eval $(ssh-agent)` starts one"),
                )
            )
    return found


def _has_agent(configured: list[str]) -> bool:
    named = configured[0] if configured else "SSH_AUTH_SOCK"
    return bool(os.environ.get("SSH_AUTH_SOCK")) if named == "SSH_AUTH_SOCK" else named.lower() != "none"


async def _knock(host: str, port: int) -> bool:
    """Say whether a port takes connections; nothing is said on it."""
    try:
        async with asyncio.timeout(KNOCK_LIMIT):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
