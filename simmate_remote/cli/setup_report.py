"""What setup found and did on a host, as a person reads it."""

from __future__ import annotations

from rich.filesize import decimal

from simmate_remote.cli.output import note, out, safe
from simmate_remote.environment.setup import SetupReport

SHOWN = 20
"""Lines of a difference that are shown to a person; JSON has them all."""


def print_setup(report: SetupReport, *, made: bool) -> None:
    """Print what was done, or with ``--check`` what would have to be.

    Args:
        report: Of one host.
        made: Whether it was to be made equal, and not only compared.
    """
    _headline(report.host, _state(report, made=made))
    lines = [("host", f"{report.hostname} ({report.platform})"), ("python", report.python or "none of this version")]
    if report.environment:
        count = f", with {report.distributions} distributions" if made else ""
        lines.append(("folder", report.environment + count))
    if report.sent:
        lines.append(("sent", decimal(report.sent)))
    for name, value in lines:
        out.print(safe(f"  {name + ':':<8} {value}"), soft_wrap=True)
    if not made:
        for line in report.difference[:SHOWN]:
            out.print(safe(f"  differs: {line}"), soft_wrap=True)
        if len(report.difference) > SHOWN:
            out.print(safe(f"  … and {len(report.difference) - SHOWN} more; --json shows all"), soft_wrap=True)
    if made:
        command, why = f"simmate-remote connect {report.host}", "starts scheduler and workers in it"
    else:
        command, why = f"simmate-remote setup {report.host}", "makes it equal"
    if made or report.difference:
        out.print(safe(f"  next:    {command}    ({why})"), soft_wrap=True)
    for warning in report.warnings:
        note(f"{report.host}: {warning}")


def print_removed(report: SetupReport) -> None:
    """Print what was taken away."""
    if report.removed:
        _headline(report.host, f"taken away: {', '.join(report.removed)}")
    else:
        _headline(report.host, "nothing of setup's was there")


def _headline(host: str, text: str) -> None:
    out.print(safe(f"{host}: ", "bold") + safe(text), soft_wrap=True)


def _state(report: SetupReport, *, made: bool) -> str:
    if report.changed:
        return "ready"
    if not report.difference:
        return "ready; nothing had to be changed" if made else "equal"
    return f"{len(report.difference)} differences" if report.environment else "there is no environment yet"
