"""How ``setup`` goes, as a person sees it: bars in a terminal, lines elsewhere; and what it found."""

from __future__ import annotations

import errno
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from simmate_remote.cli import output, setup_progress
from simmate_remote.cli.app import main
from simmate_remote.cli.setup_progress import SetupProgress
from simmate_remote.cli.setup_report import print_removed, print_setup
from simmate_remote.environment import setup as environment_setup
from simmate_remote.environment.setup import SetupReport
from simmate_remote.inventory import Host


def drawn(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    """Let two hosts go through it, and give what was drawn."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, highlight=False)
    monkeypatch.setattr(setup_progress, "err", console)
    monkeypatch.setattr(output, "err", console)
    with SetupProgress(["one", "[two]"]) as progress:
        first, second = progress.feedback("one"), progress.feedback("[two]")
        first.step("sending")
        for sent in range(0, 101, 5):
            first.progress(sent * 1000, 100_000)
        second.step("looking at the \x1b[31mhost")
        if progress._bars is not None:
            progress._bars.refresh()
        first.step("making the environment")
        progress.done("one")
        progress.done("[two]")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = drawn(monkeypatch, terminal=False).splitlines()
    assert lines[0] == "one: sending …"
    assert lines[1] == "one: sending, 10.0 kB of 100.0 kB"
    assert lines[10] == "one: sending, 100.0 kB of 100.0 kB"
    assert lines[11:] == ["[two]: looking at the \\x1b[31mhost …", "one: making the environment …"]


def test_bars_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn(monkeypatch, terminal=True)
    assert "one: sending" in text
    assert "0.1/0.1 MB" in text or "100.0/100.0 kB" in text
    assert "[two]: looking at the \\x1b[31mhost" in text


def printed(capsys: pytest.CaptureFixture[str], report: SetupReport, *, made: bool) -> list[str]:
    print_setup(report, made=made)
    return capsys.readouterr().out.splitlines()


def test_what_was_done_and_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    report = SetupReport(
        "lab", "node", "x86_64, glibc 2.36", "/usr/bin/python3.11", "environments/1-2", True, 3, sent=2000
    )
    lines = printed(capsys, report, made=True)
    assert lines[0] == "lab: ready"
    assert "  sent:    2.0 kB" in lines
    assert lines[-1] == "  next:    simmate-remote connect lab    (starts scheduler and workers in it)"
    report.changed = False
    assert printed(capsys, report, made=True)[0] == "lab: ready; nothing had to be changed"


def test_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    report = SetupReport("lab", environment="environments/1-2", difference=[f"d{number}" for number in range(30)])
    lines = printed(capsys, report, made=False)
    assert lines[0] == "lab: 30 differences"
    assert "  differs: d19" in lines
    assert "  … and 10 more; --json shows all" in lines
    assert lines[-1] == "  next:    simmate-remote setup lab    (makes it equal)"
    assert printed(capsys, SetupReport("lab", environment="environments/1-2"), made=False)[0] == "lab: equal"
    report.environment = None
    assert printed(capsys, report, made=False)[0] == "lab: there is no environment yet"


def test_what_was_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    print_removed(SetupReport("lab", removed=["environment", "bin"]))
    print_removed(SetupReport("lab"))
    assert capsys.readouterr().out == "lab: taken away: environment, bin\nlab: nothing of setup's was there\n"


def test_what_goes_wrong_here_for_one_host_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text("ssh: me@nowhere.example\n")
    monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    async def make(host: Host, *_: object) -> SetupReport:
        if host.name == "one":
            raise OSError(errno.ENOSPC, "No space left on device")
        return SetupReport(host.name)

    monkeypatch.setattr(environment_setup, "set_up", make)
    with pytest.raises(SystemExit) as ended:
        main(["setup", "one", "two", "--json"])
    assert ended.value.code == 1
    one, two = json.loads(capsys.readouterr().out)
    assert (one["host"], one["error"], two["host"]) == ("one", "SetupError", "two")
    assert "No space left on device" in one["what"]
