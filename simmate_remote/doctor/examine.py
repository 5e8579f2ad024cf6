"""Run the checks, stage after stage, from here to there."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection

from simmate_remote.doctor.check import Check, Stage
from simmate_remote.doctor.examination import Examination
from simmate_remote.doctor.finding import Finding
from simmate_remote.doctor.registry import all_checks, choose, required
from simmate_remote.errors import SimmateRemoteError
from simmate_remote.inventory.models import Host
from simmate_remote.link import Ask

logger = logging.getLogger(__name__)


async def examine(
    host: Host | None,
    only: Collection[str] | None = None,
    ask: Ask | None = None,
    *,
    fix: bool = False,
    step: Callable[[str], None] = lambda _: None,
    told: Callable[[Finding], None] = lambda _: None,
) -> list[Finding]:
    """Examine a host over one login, or this machine.

    Args:
        host: The host; None: this machine.
        only: Names of the checks that are wanted; those that they need are run, too, and not told. None: all.
        ask: Answers the questions of the login; None: nobody can be asked.
        fix: Whether what can be mended safely is mended.
        step: Told what is being done.
        told: Told each finding as soon as there is one.

    Returns:
        The findings, in the order of the checks.

    Raises:
        SimmateRemoteError: A name in ``only`` is no check's.
    """
    checks = all_checks(with_host=host is not None)
    chosen = checks if only is None else choose(checks, only)
    about = Examination(host, ask, step)
    findings = []
    try:
        for stage, group in itertools.groupby(chosen, lambda check: check.stage):
            await about.enter(stage)
            async with contextlib.aclosing(_findings(list(group), about, step, fix=fix)) as found:
                async for finding in found:
                    if only is None or finding.check in only:
                        findings.append(finding)
                        told(finding)
    finally:
        step("leaving")
        await about.close()
    return findings


async def _findings(
    checks: list[Check], about: Examination, step: Callable[[str], None], *, fix: bool
) -> AsyncGenerator[Finding]:
    """Run the checks of one stage, and yield what they find in their order."""
    running: dict[str, asyncio.Task[None]] = {}
    names = [check.name for check in checks]

    async def run(check: Check) -> None:
        # Only for those before it: two checks of others may require each other.
        for name in set(required(check)).intersection(names[: names.index(check.name)]):
            await running[name]
        about.findings[check.name] = await (_mended(check, about) if fix else _examined(check, about))

    try:
        for check in checks:
            if check.stage is Stage.HOST:
                # Each asks our program there one question after another; the ways of all of them are made at once.
                running |= {each.name: asyncio.create_task(run(each)) for each in checks if each.name not in running}
            else:
                running[check.name] = asyncio.create_task(run(check))
            step(check.title)
            await running[check.name]
            yield about.findings[check.name]
    finally:
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)


async def _mended(check: Check, about: Examination) -> Finding:
    """Run a check; if something is wrong that it can mend, let it, and look again."""
    before = await _examined(check, about)
    if not before.wrong:
        return before
    try:
        async with asyncio.timeout(check.limit):
            done = await check.fix(about, before)
    except Exception as error:
        logger.info("%s could not be mended", check.name, exc_info=True)
        return dataclasses.replace(before, reason=f"{before.reason} (could not be mended: {error!r})")
    if done is None:
        return before
    return dataclasses.replace(await _examined(check, about), fixed=done)


async def _examined(check: Check, about: Examination) -> Finding:
    began = time.monotonic()
    finding = _obstacle(check, about) or await _run(check, about)
    return finding.signed(check.name, check.title, check.stage.value, check.why, time.monotonic() - began)


async def _run(check: Check, about: Examination) -> Finding:
    try:
        async with asyncio.timeout(check.limit) as limit:
            finding = await check.run(about)
        if not isinstance(finding, Finding):
            raise TypeError(f"it returned {finding!r}, which is no Finding")
    except SimmateRemoteError as error:
        return Finding.of(error)
    except Exception as error:
        if limit.expired():
            return Finding.failed(f"no result after {check.limit:g} s; it was cut off")
        logger.info("the check %s failed", check.name, exc_info=True)
        return Finding.failed(f"the check itself failed: {type(error).__name__}: {error}")
    return finding


def _obstacle(check: Check, about: Examination) -> Finding | None:
    """Say why a check makes no sense after what was found before."""
    for name in required(check):
        finding = about.findings.get(name)
        if finding is not None and finding.status == "skipped":
            return Finding.skipped(finding.reason, because=finding.data.get("because", name))
        if finding is not None and finding.status == "failed":
            return Finding.skipped(f"because {name} failed", because=name)
    return None
