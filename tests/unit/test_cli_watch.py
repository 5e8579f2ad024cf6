"""What other programs wrote, and what a session says of itself, on a screen."""

from __future__ import annotations

import io
import time
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.cli.log_printer import LogPrinter
from simmate_remote.cli.output import warnings_as_notes
from simmate_remote.cli.progress import RunProgress
from simmate_remote.cli.reports import describe_event, describe_found, print_session, since
from simmate_remote.errors import CodeDiffersWarning
from simmate_remote.workflows.watching import Update

pieces = st.lists(st.tuples(st.sampled_from(["scheduler", "worker-0"]), st.text(min_size=1)), max_size=8)


def printed(*written: tuple[str, str], visible: bool = True) -> str:
    file = io.StringIO()
    printer = LogPrinter(file, visible=visible)
    for name, text in written:
        printer.write(name, text)
    printer.end()
    return file.getvalue()


def test_every_line_says_whose_it_is() -> None:
    assert printed(("worker-0", "one\ntw"), ("worker-0", "o\nthr"), ("scheduler", "x\n"), ("worker-0", "ee")) == (
        "worker-0   | one\nworker-0   | two\nworker-0   | thr\nscheduler  | x\nworker-0   | ee\n"
    )


def test_programs_cannot_speak_to_the_terminal() -> None:
    assert printed(("w", "\x1b]0;evil\x07[red]\rx\r\n")) == "w          | \\x1b]0;evil\\x07[red]\\rx\n"
    assert printed(("w", "\x1b[31mred\n"), visible=False) == "w          | \x1b[31mred\n"


@given(pieces)
def test_no_control_character_gets_through(written: list[tuple[str, str]]) -> None:
    text = printed(*written)
    assert all(character.isprintable() or character in "\n\t" for character in text)
    assert all(line.split("|")[0].strip() in ("scheduler", "worker-0") for line in text.split("\n")[:-1])


@given(pieces)
def test_nothing_is_lost(written: list[tuple[str, str]]) -> None:
    text = printed(*written, visible=False)
    for name in ("scheduler", "worker-0"):
        lines = [line.partition(" | ")[2] for line in text.split("\n") if line.startswith(name)]
        assert "".join(lines) == "".join(piece for whose, piece in written if whose == name).replace("\n", "")


@pytest.mark.parametrize(("ago", "shown"), [(0, "0 s"), (59, "59 s"), (130, "2 min"), (7200, "2 h"), (3e5, "3 d")])
def test_since(ago: float, shown: str) -> None:
    assert since(time.time() - ago - 0.1).endswith(f"({shown})")


def test_events_name_the_signal() -> None:
    event = {"time": time.time(), "name": "worker-0", "code": -9}
    assert describe_event(event).endswith("worker-0 died (SIGKILL)")
    assert describe_event({**event, "code": 3}).endswith("(exit code 3)")
    assert describe_event({**event, "code": -64}).endswith("SIGRTMAX)")


def test_a_session_that_waits_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    report: dict[str, Any] = {"host": "lab[b]", "state": "waiting for you", "since": time.time(), "error": None}
    print_session({**report, "warnings": ["numpy is \x1b old"]})
    said = capsys.readouterr().out
    assert said.startswith("lab[b]: waiting for you since ")
    assert "simmate-remote connect lab[b] asks for it" in said
    assert "numpy is \\x1b old" in said


def test_progress_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    updates = [Update("no worker"), Update(workers=2), Update("running", "worker-0")]
    updates += [Update("running", "worker-0", done=step, total=1e7, text="\x1b[1mx") for step in range(0, 10**7, 10**5)]
    updates += [Update("running", "worker-1", attempt=2), Update("finished")]
    with RunProgress("relax", live=True) as progress:
        for update in updates:
            progress(update)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:4] == [
        "relax: waits: the cluster has no worker",
        "relax: waits for one of 2 workers",
        "relax: on worker-0",
        "relax: \\x1b[1mx, 0 of 10,000,000",
    ]
    assert lines[-1] == "relax: on worker-1, attempt 2, since a worker died"
    assert len(lines) == 3 + 10 + 1


def test_what_a_session_found_is_said_with_what_went_on_meanwhile() -> None:
    now = time.time()
    living = {
        "since": now - 7200,
        "alone_since": now - 3600,
        "alone_until": now - 60,
        "events": [{"time": now - 1800, "what": "worker-0 died (exit code -9)"}],
        "finished": 12,
        "erred": 1,
    }
    first, alone, event = describe_found(living)
    assert "there since" in first
    assert alone.endswith("(1 h), for 59.0 min; tasks: 12 finished, 1 failed")
    assert "tasks" not in list(describe_found(living, tasks=False))[1]
    assert event.endswith("worker-0 died (exit code -9)")
    many = {**living, "finished": 0, "erred": 0, "events": living["events"] * 12}
    _, alone, left_out, *events = describe_found(many)
    assert alone.endswith("for 59.0 min")
    assert left_out == "7 earlier ones are left out:"
    assert len(events) == 5
    gone = {"kind": "rebooted", "since": now - 7200, "ended": now - 60, "text": "the host was rebooted", "detail": ""}
    (line,) = describe_found(gone)
    assert "is gone, and was started afresh: the host was rebooted" in line
    assert not list(describe_found(None))


def test_warnings_are_notes(capsys: pytest.CaptureFixture[str]) -> None:
    def warn() -> None:
        with warnings_as_notes(CodeDiffersWarning):
            for _ in range(2):
                warnings.warn("lab-box: numpy is another version there", CodeDiffersWarning, stacklevel=1)
            warnings.warn("another", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="another"):
        warn()
    assert capsys.readouterr().err == "lab-box: numpy is another version there\n" * 2
