"""Make one host ready: a Python environment there that equals the one here."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from simmate_remote.environment.building import Plan, build
from simmate_remote.environment.enrolment import enrol
from simmate_remote.environment.interpreters import install_python, wrong_python
from simmate_remote.environment.local import Distribution, Wanted, choose, understand
from simmate_remote.environment.login import Login, log_in
from simmate_remote.environment.programs import Programs
from simmate_remote.environment.sending import Progress, disk_full, send
from simmate_remote.environment.shell import Shell
from simmate_remote.environment.store import WheelStore
from simmate_remote.environment.survey import Survey, survey
from simmate_remote.environment.uv import uv_for
from simmate_remote.environment.wheels import collect
from simmate_remote.errors import EnvironmentInUseError, Remedy, SetupError
from simmate_remote.inventory.models import Host
from simmate_remote.link.base import Ask, Destination

REMOVE_TIMEOUT = 300.0


@dataclass(frozen=True)
class Wish:
    """What the user asks for.

    Args:
        only: Distributions; given any, these and what they require are all that is wanted.
        extra: Requirements to add.
        python: An interpreter on the host, or an environment's folder, to make the environment from.
        agreed: Whether a key may be installed without asking.
    """

    only: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    python: str | None = None
    agreed: bool = False


@dataclass(frozen=True)
class Supply:
    """What this machine has.

    Args:
        installed: The distributions of the environment that hosts shall equal, by name.
        store: Where wheels are kept.
    """

    installed: dict[str, Distribution]
    store: WheelStore


@dataclass(frozen=True)
class Feedback:
    """Whom setup tells what it does.

    Args:
        step: Told what is being done.
        progress: Told how many bytes of how many have been sent.
        ask: Answers what only a person can answer; None: nobody can be asked.
    """

    step: Callable[[str], object]
    progress: Progress
    ask: Ask | None


@dataclass
class SetupReport:
    """What was found, and done.

    Args:
        host: The host's name.
        hostname: What the machine calls itself.
        platform: Its machine and C library.
        python: The interpreter that the environment is, or would be, made from.
        environment: The environment's folder there; None: there is none.
        changed: Whether anything was changed.
        distributions: How many the environment has.
        difference: What differs, or differed before; empty: nothing.
        sent: Bytes that were sent.
        key: What became of the key; ``not needed`` where one logged in before.
        removed: What was taken away.
        warnings: What the user should hear.
    """

    host: str
    hostname: str = ""
    platform: str = ""
    python: str | None = None
    environment: str | None = None
    changed: bool = False
    distributions: int = 0
    difference: list[str] = field(default_factory=list)
    sent: int = 0
    key: str = "not needed"
    removed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


async def set_up(host: Host, wish: Wish, supply: Supply, feedback: Feedback) -> SetupReport:
    """Make a host ready; where it is, nothing is changed.

    Args:
        host: The host.
        wish: What is asked for.
        supply: What this machine has.
        feedback: Whom to tell.

    Returns:
        What was done.

    Raises:
        SetupError: One of its subclasses for each way to fail; the environment that was there is as it was.
        RemotePythonError: There is no interpreter, and none can be brought.
        LinkError: The host cannot be reached, or the link was lost.
    """
    understand(supply.installed, wish.only, wish.extra)  # before a password is asked for in vain
    async with _logged_in(host, feedback) as login:
        enrolment = await enrol(login, feedback.ask, agreed=wish.agreed, step=feedback.step)
        report = await _in_thread(login, _Work(login, host, wish, supply, feedback).make)
    report.key = enrolment.outcome
    report.warnings += enrolment.warnings()
    return report


async def check(host: Host, wish: Wish, supply: Supply, feedback: Feedback) -> SetupReport:
    """Say how the host's environment differs from the one here, and change nothing there.

    Args and exceptions are those of :func:`set_up`.
    """
    understand(supply.installed, wish.only, wish.extra)
    async with _logged_in(host, feedback) as login:
        return await _in_thread(login, _Work(login, host, wish, supply, feedback).compare)


async def remove(host: Host, feedback: Feedback) -> SetupReport:
    """Take away from a host what setup has put there, except a key, which is what logs in.

    Args:
        host: The host.
        feedback: Whom to tell.

    Raises:
        EnvironmentInUseError: Something runs from it; nothing was taken away.
        LinkError: The host cannot be reached, or the link was lost.
    """
    async with _logged_in(host, feedback) as login:
        feedback.step("taking away what setup has put there")
        return await _in_thread(login, lambda: _remove(Shell(login, host.folder)))


class _Work:
    """What is done over one login, in a thread."""

    def __init__(self, login: Login, host: Host, wish: Wish, supply: Supply, feedback: Feedback) -> None:
        self._shell = Shell(login, host.folder)
        self._host = host
        self._wish = wish
        self._supply = supply
        self._feedback = feedback

    def compare(self) -> SetupReport:
        found, wanted = self._look()
        if found.standing is None:
            # All of it is missing: which builds it would be need not be known, and so nothing is fetched.
            pins = [f"{each.name} is missing there and {each.version} here" for each in wanted.distributions]
            pins += [f"{each} is missing there, and wanted" for each in wanted.further]
            return self._report(found, pins, len(pins))
        return self._compared(found, self._plan(found, wanted))

    def make(self) -> SetupReport:
        found, wanted = self._look()
        plan = self._plan(found, wanted)
        report = self._compared(found, plan)
        if plan.is_there(found):
            return report
        if found.foreign:
            raise SetupError(
                f"{found.folder}/environment is there, and is not of our making",
                host=self._host.name,
                meanwhile="nothing was changed there",
                remedies=(
                    Remedy(
                        f"{self._shell.hop.ssh()} {shlex.quote(f'ls -la {shlex.quote(found.folder)}')}",
                        "shows what it is",
                    ),
                    Remedy(
                        f"simmate-remote hosts show {shlex.quote(self._host.name)}", "`folder:` names another place"
                    ),
                ),
            )
        named = self._wish.python or self._host.python
        if found.interpreter is None and named is not None:
            raise wrong_python(self._shell, found, named)
        if 0 < found.free < plan.unpacked:
            raise disk_full(
                self._shell, f"free: {found.free / 1e6:.0f} MB; the environment takes {plan.unpacked / 1e6:.0f} MB"
            )
        uv = uv_for(found.platform, self._supply.store, self._host.name)
        # uv first: it is unpacked there while the rest arrives.
        parcels = ([] if uv.version in found.uv else [uv.parcel]) + plan.parcels()
        self._feedback.step("sending")
        report.sent = send(self._shell, parcels, self._feedback.progress)
        report.python = found.interpreter.path if found.interpreter else self._install_python(found, uv.version)
        self._feedback.step("making the environment")
        report.environment = build(self._shell, plan, report.python, uv.version)
        report.changed = True
        return report

    def _look(self) -> tuple[Survey, Wanted]:
        self._feedback.step("looking at the host")
        found = survey(self._shell, self._wish.python or self._host.python)
        self._feedback.step("comparing")
        environment = found.platform.marker_environment()
        return found, choose(self._supply.installed, environment, only=self._wish.only, extra=self._wish.extra)

    def _plan(self, found: Survey, wanted: Wanted) -> Plan:
        wheels = collect(wanted, found.platform, self._supply.store, host=self._host.name, step=self._feedback.step)
        return Plan(tuple(wheels), self._host.python)

    def _compared(self, found: Survey, plan: Plan) -> SetupReport:
        standing = found.standing
        difference = plan.difference(found)
        if standing is not None and not standing.works:
            difference = ["the environment there does not work: its interpreter is gone, or cannot be run", *difference]
        elif standing is not None and not difference and not plan.is_there(found):
            difference = ["the environment there was made for another `python:` of the inventory"]
        return self._report(found, difference, len(plan.wheels))

    def _report(self, found: Survey, difference: list[str], distributions: int) -> SetupReport:
        standing = found.standing
        return SetupReport(
            host=self._host.name,
            hostname=found.hostname,
            platform=str(found.platform),
            python=found.interpreter.path if found.interpreter is not None else None,
            environment=f"environments/{standing.name}" if standing is not None else None,
            distributions=distributions,
            difference=difference,
        )

    def _install_python(self, found: Survey, uv: str) -> str:
        step, progress = self._feedback.step, self._feedback.progress
        return install_python(self._shell, found, uv, self._supply.store, step=step, progress=progress)


def _remove(shell: Shell) -> SetupReport:
    answer = shell.run("remove", seconds=REMOVE_TIMEOUT)
    users, elsewhere = answer.values("used"), answer.values("elsewhere")
    if users or elsewhere:
        host = shlex.quote(shell.host)
        raise EnvironmentInUseError(
            f"{len(users)} processes there run from the environment" if users else "another machine has a keeper there",
            host=shell.host,
            meanwhile="nothing was taken away",
            remedies=(Remedy(f"simmate-remote down {host}", "ends everything of ours there"),),
            detail="\n".join(users[:10] + [f"a keeper runs on {name}" for name in elsewhere]),
        )
    if not answer.value("end"):
        raise SetupError(
            "not all of it could be taken away",
            host=shell.host,
            meanwhile=f"this was: {', '.join(answer.values('removed')) or 'nothing'}",
            remedies=(
                Remedy(f"simmate-remote setup {shlex.quote(shell.host)} --remove", "goes on, once it is mended"),
            ),
            detail=answer.errors[-3000:] or None,
        )
    removed = answer.values("removed")
    return SetupReport(host=shell.host, changed=bool(removed), removed=removed)


@contextlib.asynccontextmanager
async def _logged_in(host: Host, feedback: Feedback) -> AsyncIterator[Login]:
    destination = Destination(
        host=host.name,
        ssh=host.ssh,
        config=str(host.ssh_config) if host.ssh_config else None,
        keepalive_interval=float(host.keepalive.interval),
        keepalive_tries=host.keepalive.tries,
        connect_timeout=float(host.connect_timeout),
    )
    feedback.step(f"logging in at {host.ssh}")
    async with log_in(destination, feedback.ask) as login:
        yield login


async def _in_thread(login: Login, work: Callable[[], SetupReport]) -> SetupReport:
    programs = Programs()
    try:
        return await asyncio.to_thread(programs.serve, work)
    except asyncio.CancelledError:
        # What the thread waits for comes to an end.
        programs.break_off()
        login.break_off()
        raise
