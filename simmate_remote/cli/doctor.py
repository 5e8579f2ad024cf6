"""``doctor``: what is wrong on the way to a host, there, or here; and the command that mends it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.text import Text

from simmate_remote.cli.output import JsonOption, emit, err, out, safe, table
from simmate_remote.cli.steps import Steps
from simmate_remote.doctor.examine import examine
from simmate_remote.doctor.finding import Finding
from simmate_remote.doctor.registry import all_checks
from simmate_remote.inventory import load_host

STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}
WIDTH = 19


class _Progress(Steps):
    """Shows which check runs; its finding takes the place."""

    def __call__(self, text: str) -> None:
        if err.is_terminal:
            super().__call__(text)

    def _done(self) -> None:
        self._spinner.stop()
        self._text = ""

    def tell(self, finding: Finding) -> None:
        """Print a finding."""
        self._done()
        print_finding(finding)


def doctor(
    host: Annotated[
        str | None, typer.Argument(metavar="[HOST]", help="The host; without one, this machine is examined.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Run this check; may be repeated.")
    ] = None,
    list_checks: Annotated[bool, typer.Option("--list", help="List the checks, and run none.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong on the way to a host and there, why it matters, and the command that mends it.

    One login is made for it. The exit code is 1 if a check failed, and 0 if there are only warnings.
    """
    if list_checks:
        _list(host, as_json)
        return
    known = load_host(host) if host is not None else None
    with _Progress() as progress:
        told = (lambda _: None) if as_json else progress.tell
        findings = asyncio.run(examine(known, only, progress.ask, fix=fix, step=progress, told=told))
    failed = any(finding.status == "failed" for finding in findings)
    data = {"host": host, "ok": not failed, "findings": [finding.document() for finding in findings]}
    emit(data, human=lambda: print_summary(host, findings), as_json=as_json)
    if failed:
        raise typer.Exit(1)


def print_finding(finding: Finding) -> None:
    """Print a line for a finding, and below it what a person needs if something is wrong."""
    line = Text.assemble(
        (f"{finding.status:<8} ", STYLES[finding.status]),
        f"{finding.check:<{WIDTH}} ",
        safe(finding.reason.replace("\n", " "), "dim" if finding.status == "skipped" else ""),
    )
    out.print(line, soft_wrap=True)
    if finding.fixed:
        out.print(safe(f"{'':9}fixed:     {finding.fixed}"), soft_wrap=True)
    if finding.wrong:
        if finding.why:
            out.print(safe(f"{'':9}matters:   {finding.why}"), soft_wrap=True)
        for remedy in finding.remedies:
            why = f"    ({remedy.why})" if remedy.why else ""
            out.print(safe(f"{'':9}next:      {remedy.command}{why}"), soft_wrap=True)
        for evidence in str(finding.data.get("detail") or "").splitlines():
            out.print(safe(f"{'':9}it said:   {evidence}"), soft_wrap=True)


def print_summary(host: str | None, findings: list[Finding]) -> None:
    """Print how many of each kind there were."""
    counts = {status: sum(finding.status == status for finding in findings) for status in STYLES}
    shown = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    out.print(safe(f"{host or 'this machine'}: {shown or 'nothing was looked at'}", "bold"), soft_wrap=True)


def _list(host: str | None, as_json: bool) -> None:
    checks = [*([] if host else all_checks(with_host=False)), *all_checks(with_host=True)]
    described: list[dict[str, Any]] = [
        {
            "name": check.name,
            "stage": check.stage.value,
            "looks_at": (type(check).__doc__ or "").strip().partition("\n")[0],
        }
        for check in checks
    ]
    rows = [(each["name"], each["stage"], each["looks_at"]) for each in described]
    emit(described, human=table(("check", "stage", "looks at"), rows), as_json=as_json)
