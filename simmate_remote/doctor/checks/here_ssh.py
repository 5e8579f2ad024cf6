"""SSH on this machine: the program, the keys, the agent."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import asyncssh

from simmate_remote.doctor.check import Check, Stage
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.finding import Finding, worst
from simmate_remote.errors import Remedy
from simmate_remote.link.keys import is_encrypted
from simmate_remote.link.settings import local_home

OLDEST_SSH = (7, 4)
"""The oldest that `link: openssh` works with: docs/connect.md."""

AGENT_LIMIT = 5.0
NOT_FOR_OTHERS = 0o022


class HereSsh(Check):
    """Whether there is an ssh program here, and whether it is too old."""

    name = "here-ssh"
    title = "the ssh program"
    why = "it reads ~/.ssh/config with all its options; without it, a part of them has no effect"
    stage = Stage.HERE

    async def run(self, about: Examination) -> Finding:
        path = shutil.which("ssh")
        if path is None:
            return Finding.warning("there is none; ~/.ssh/config is read by simmate-remote itself", path=None)
        process = await asyncio.create_subprocess_exec(
            path,
            "-V",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        text = said.decode(errors="replace").strip()
        version = re.search(r"OpenSSH_(\d+)\.(\d+)", text)
        if version is None:
            return Finding.warning(f"{path} is not OpenSSH: {text[:80]}", path=path)
        if (int(version[1]), int(version[2])) < OLDEST_SSH:
            oldest = ".".join(map(str, OLDEST_SSH))
            return Finding.warning(
                f"{version[0]} is older than {oldest}: `link: openssh` does not work", path=path, version=text
            )
        return Finding.ok(f"{text} ({path})", path=path, version=text)


class HereKeys(Check):
    """Key files and configuration in ~/.ssh: those that others can read or write, which ssh does not use."""

    name = "here-keys"
    title = "the files in ~/.ssh"
    why = "ssh does not use a key that others can read, nor a configuration that others can write"
    stage = Stage.HERE

    async def run(self, about: Examination) -> Finding:
        folder = Path(local_home(), ".ssh")
        try:
            return await asyncio.to_thread(_look_at_keys, folder)
        except PermissionError as error:
            remedy = Remedy(f"ls -ld {shlex.quote(str(folder))}", "shows whose it is")
            return Finding.failed(f"{folder} cannot be read: {error.strerror}", remedy, wrong={})

    async def fix(self, about: Examination, finding: Finding) -> str | None:
        wrong = finding.data["wrong"]
        for name, mode in wrong.items():
            os.chmod(name, mode)
        return f"changed who may read {', '.join(wrong)}" if wrong else None


class HereAgent(Check):
    """Whether the SSH agent answers, and how many keys it holds."""

    name = "here-agent"
    title = "the SSH agent"
    why = "keys with a passphrase are asked at each login where no agent holds them"
    stage = Stage.HERE

    async def run(self, about: Examination) -> Finding:
        path = os.environ.get("SSH_AUTH_SOCK")
        if not path:
            return Finding.ok("there is none; keys in files are used", path=None)
        agent = asyncssh.SSHAgentClient(path)
        listed = Remedy("ssh-add -l", "asks it; `eval $(ssh-agent)` starts another")
        try:
            async with asyncio.timeout(AGENT_LIMIT):
                keys = list(await agent.get_keys())
        except (OSError, ValueError, TimeoutError) as error:
            return Finding.warning(f"the agent at {path} does not answer: {error or 'it is silent'}", listed, path=path)
        finally:
            agent.close()
            await agent.wait_closed()
        if not keys:
            return Finding.ok(f"it answers, and holds no key ({path})", path=path, keys=0)
        return Finding.ok(f"it holds {len(keys)} key{'s' * (len(keys) > 1)}", path=path, keys=len(keys))


def _look_at_keys(folder: Path) -> Finding:
    if not folder.is_dir():
        return Finding.ok(f"{folder} is not there; passwords and agents are left", wrong={})
    wrong: dict[Path, int] = {}
    findings = []
    for path in [folder, folder / "config", folder / "authorized_keys"]:
        if path.exists() and path.stat().st_mode & NOT_FOR_OTHERS:
            wrong[path] = path.stat().st_mode & 0o7777 & ~NOT_FOR_OTHERS
            remedy = Remedy(f"chmod go-w {shlex.quote(str(path))}", "leaves writing to you alone")
            findings.append(Finding.warning(f"{path} can be written by others", remedy))
    keys = locked = 0
    for path in sorted(folder.iterdir()):
        try:
            content = path.read_bytes() if path.is_file() and path.stat().st_size < 100_000 else b""
        except OSError:
            continue
        if b"PRIVATE KEY-----" not in content:
            continue
        keys += 1
        locked += is_encrypted(content)
        if path.stat().st_mode & 0o077:
            wrong[path] = 0o600
            remedy = Remedy(f"chmod 600 {shlex.quote(str(path))}", "makes it yours alone")
            findings.append(Finding.warning(f"the key {path} can be read by others", remedy))
    text = f"{keys} key{'s' * (keys != 1)}, {locked} with a passphrase"
    data: dict[str, Any] = {"keys": keys, "locked": locked, "wrong": {str(path): mode for path, mode in wrong.items()}}
    return worst([*findings, Finding.ok(text, **data)]) if findings else Finding.ok(text, **data)
