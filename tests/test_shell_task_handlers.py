"""Handlers: what they see, how often they may act, what is kept of it, and what happens when they are wrong."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.errors import (
    CorrectionsExhaustedError,
    CorrectionsUndoneError,
    HandlerError,
    ProgramFailedError,
    TaskDeclarationError,
    TimeLimitError,
    UncorrectableError,
)
from simmate_remote.workflows.shell.record import read_record
from tests.shell_tasks import Raises, Script, at_least, processes_with


def test_handlers_see_the_failure_before_the_exit_code_is_judged(tmp_path: Path) -> None:
    outcome = Script(handlers=(Raises(),)).perform({"script": at_least(2, code=9)}, tmp_path / "a")
    assert outcome.data == "got 2"
    assert outcome.attempts == 3
    assert [one.handler for one in outcome.corrections] == ["Raises", "Raises"]


def test_a_silent_failure_is_seen_too(tmp_path: Path) -> None:
    assert Script(handlers=(Raises(),)).run(tmp_path / "a", script=at_least(1, code=0)) == "got 1"


def test_the_last_correction_that_is_allowed_counts_if_it_works(tmp_path: Path) -> None:
    assert Script(handlers=(Raises(),), max_corrections=2).run(tmp_path / "a", script=at_least(2)) == "got 2"
    with pytest.raises(CorrectionsExhaustedError, match="after 2 corrections") as caught:
        Script(handlers=(Raises(),), max_corrections=2).run(tmp_path / "b", script=at_least(3))
    assert caught.value.attempts == 3
    assert [one["handler"] for one in caught.value.corrections] == ["Raises", "Raises"]


def test_a_task_without_corrections_allowed_names_the_handler_that_saw_the_fault(tmp_path: Path) -> None:
    with pytest.raises(CorrectionsExhaustedError, match="Raises sees a fault after 0 corrections"):
        Script(handlers=(Raises(),), max_corrections=0).run(tmp_path / "a", script=at_least(1))
    assert (tmp_path / "a" / "value.txt").read_text() == "0\n"


def test_a_correction_is_recorded_and_the_state_of_each_attempt_kept(tmp_path: Path) -> None:
    before = time.time()
    outcome = Script(handlers=(Raises(),)).perform({"script": at_least(2)}, tmp_path / "a")
    first = outcome.corrections[0]
    assert (first.attempt, first.seen, first.done) == (1, ("too small",), ({"value": 1},))
    assert before <= first.when <= time.time()
    assert first.difference.splitlines()[-2:] == ["-0", "+1"]
    record = read_record(tmp_path / "a")
    assert record is not None
    assert record.corrections[0]["difference"] == first.difference
    for number, value in ((1, "0\n"), (2, "1\n")):
        kept = tmp_path / "a" / ".simmate-remote" / "attempts" / str(number)
        assert gzip.decompress((kept / "value.txt.gz").read_bytes()).decode() == value
        assert gzip.decompress((kept / "stdout.txt.gz").read_bytes()) == b"too small\n"


def test_what_does_not_change_between_attempts_takes_its_space_once(tmp_path: Path) -> None:
    Script(handlers=(Raises(),)).run(tmp_path / "a", script=at_least(2))
    kept = tmp_path / "a" / ".simmate-remote" / "attempts"
    assert (kept / "1" / "script.sh.gz").stat().st_ino == (kept / "2" / "script.sh.gz").stat().st_ino


def test_every_handler_that_sees_something_acts_before_the_next_attempt(tmp_path: Path) -> None:
    outcome = Script(handlers=(Raises(by=1), Raises(by=10))).perform({"script": at_least(11)}, tmp_path / "a")
    assert outcome.data == "got 11"
    assert outcome.attempts == 2
    assert len(outcome.corrections) == 2


def test_a_handler_of_one_task_knows_nothing_of_another(tmp_path: Path) -> None:
    class Counts(Raises):
        seen = 0

        def correct(self, directory: str = "./") -> dict[str, Any]:
            self.seen += 1
            assert self.seen == 1
            return super().correct(directory)

    task = Script(handlers=(Counts(),))
    for name in "ab":
        assert task.run(tmp_path / name, script=at_least(1)) == "got 1"


def test_a_handler_that_keeps_its_own_limit_is_passed_over_then(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailedError, match="exit code 4") as caught:
        Script(handlers=(Raises(most=1),)).run(tmp_path / "a", script=at_least(3, code=4))
    assert caught.value.attempts == 2


def test_a_handler_that_raises_at_its_own_limit(tmp_path: Path) -> None:
    class Strict(Raises):
        raise_on_max = True

    with pytest.raises(CorrectionsExhaustedError, match="Strict sees a fault, and has corrected 1 times"):
        Script(handlers=(Strict(most=1),)).run(tmp_path / "a", script=at_least(3))


def test_a_handler_that_knows_no_way(tmp_path: Path) -> None:
    class Helpless(Raises):
        def correct(self, directory: str = "./") -> dict[str, Any]:
            return {"errors": ["positive energy"], "actions": None}

    class Calm(Helpless):
        raises_runtime_error = False

    with pytest.raises(UncorrectableError, match="Helpless knows no way to mend what it sees: positive energy"):
        Script(handlers=(Helpless(),)).run(tmp_path / "a", script=at_least(1, code=0))
    assert Script(handlers=(Calm(),)).run(tmp_path / "b", script=at_least(1, code=0)) == "too small"
    with pytest.raises(ProgramFailedError, match="exit code 2") as caught:
        Script(handlers=(Calm(),)).run(tmp_path / "c", script=at_least(1, code=2))
    assert "Calm: positive energy" in str(caught.value)


@pytest.mark.parametrize("method", ["check", "correct"])
def test_a_handler_that_raises_is_named_with_its_traceback(tmp_path: Path, method: str) -> None:
    def broken(self: Any, directory: str = "./") -> Any:
        raise ZeroDivisionError("of the handler")

    handler = type("Broken", (Raises,), {method: broken})
    with pytest.raises(HandlerError, match="Broken raised ZeroDivisionError while it") as caught:
        Script(handlers=(handler(),)).run(tmp_path / "a", script=at_least(1))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert f'{__file__}", line' in (caught.value.detail or "")
    assert "performing.py" not in (caught.value.detail or "")


def test_a_handler_that_corrects_for_ever_is_stopped(tmp_path: Path) -> None:
    class Useless(Raises):
        def correct(self, directory: str = "./") -> dict[str, Any]:
            return {"errors": ["it"], "actions": ["run it again"]}

    with pytest.raises(CorrectionsExhaustedError, match="Useless sees a fault after 5 corrections") as caught:
        Script(handlers=(Useless(),)).run(tmp_path / "a", script=at_least(1))
    assert caught.value.attempts == 6


def test_two_that_undo_each_other_are_noticed_and_named(tmp_path: Path) -> None:
    class More(Raises):
        pass

    class Less(Raises):
        pass

    script = 'if [ "$(cat value.txt)" = 0 ]; then echo low; else echo high; fi; exit 1'
    task = Script(handlers=(More("low", 1), Less("high", -1)), max_corrections=50)
    with pytest.raises(CorrectionsUndoneError, match="More and Less undo each other") as caught:
        task.run(tmp_path / "a", script=script)
    assert caught.value.attempts == 2
    assert "+1" in (caught.value.detail or "")


def test_a_handler_that_cannot_be_copied_is_named(tmp_path: Path) -> None:
    class Locked(Raises):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("cannot pickle a lock")

    with pytest.raises(TaskDeclarationError, match="Locked of Script cannot be copied"):
        Script(handlers=(Locked(),)).run(tmp_path / "a", script="echo")


class Watches(Raises):
    """Ends the program as soon as it has printed the word."""

    is_monitor = True


SLOW = 'value=$(cat value.txt); if [ "$value" -lt 1 ]; then echo too small; sleep {seconds}; fi; echo "got $value"'


def test_a_monitor_looks_early_enough_for_a_job_of_a_second(tmp_path: Path) -> None:
    began = time.monotonic()
    outcome = Script(handlers=(Watches(),)).perform({"script": SLOW.format(seconds=30)}, tmp_path / "a")
    assert outcome.data == "got 1"
    assert outcome.attempts == 2
    assert time.monotonic() - began < 20
    record = read_record(tmp_path / "a")
    assert record is not None
    assert record.attempts[0]["ended_by"] == "Watches"
    assert record.attempts[0]["seconds"] < 3


def test_what_a_monitor_ends_it_ends_with_all_its_processes(tmp_path: Path) -> None:
    script = 'if [ "$(cat value.txt)" = 0 ]; then echo too small; setsid sleep 4567123 & sleep 4567123; fi; echo fine'
    assert Script(handlers=(Watches(),)).run(tmp_path / "a", script=script) == "fine"
    assert not processes_with("sleep\0004567123")


def test_a_monitor_may_look_before_there_is_anything_to_see(tmp_path: Path) -> None:
    class Early(Watches):
        def check(self, directory: str = "./") -> bool:
            return "too small" in Path(directory, "late.txt").read_text()

    script = "sleep 0.5; echo fine > late.txt; sleep 0.5; echo fine"
    assert Script(handlers=(Early(),)).run(tmp_path / "a", script=script) == "fine"
    record = read_record(tmp_path / "a")
    assert record is not None
    assert record.attempts[0]["looks_that_failed"]["Early"]["last"].startswith("FileNotFoundError")
    with pytest.raises(HandlerError, match="Early raised FileNotFoundError"):
        Script(handlers=(Early(),)).run(tmp_path / "b", script="sleep 0.3; echo fine")


def test_a_monitor_that_lets_the_program_end_by_itself(tmp_path: Path) -> None:
    class Asks(Watches):
        is_terminating = False

        def correct(self, directory: str = "./") -> dict[str, Any]:
            Path(directory, "stop").touch()
            return super().correct(directory)

    script = (
        'if [ "$(cat value.txt)" = 0 ]; then echo too small; while [ ! -e stop ]; do sleep 0.02; done; sleep 1; fi; '
        "echo done"
    )
    outcome = Script(handlers=(Asks(),)).perform({"script": script}, tmp_path / "a")
    assert outcome.attempts == 2
    assert outcome.data == "done"
    assert len(outcome.corrections) == 1


def test_a_monitor_that_hangs_does_not_hinder_the_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from simmate_remote.workflows.shell import correcting

    monkeypatch.setattr(correcting, "CALL_LIMIT", 0.5)

    class Hangs(Watches):
        def check(self, directory: str = "./") -> bool:
            time.sleep(20)
            return False

    began = time.monotonic()
    with pytest.raises(HandlerError, match="Hangs did not come back"):
        Script(handlers=(Hangs(),), time_limit=0.5).run(tmp_path / "a", script="sleep 30")
    assert time.monotonic() - began < 10


def test_handlers_see_a_program_that_ran_out_of_time(tmp_path: Path) -> None:
    script = SLOW.format(seconds=30)
    assert Script(handlers=(Raises(),), time_limit=0.5).run(tmp_path / "a", script=script) == "got 1"
    with pytest.raises(TimeLimitError):
        Script(time_limit=0.5).run(tmp_path / "b", script=script)


class OldStyle:
    """As custodian had them before they were given the folder: it is where they are."""

    is_monitor = False

    def check(self) -> bool:
        return "too small" in Path("stdout.txt").read_text()

    def correct(self) -> dict[str, Any]:
        Path("value.txt").write_text(f"{int(Path('value.txt').read_text()) + 1}\n")
        return {"errors": ["too small"], "actions": [1]}


@pytest.mark.parametrize("own", [True, False], ids=["a thread's own folder", "taking turns"])
def test_handlers_of_the_old_style_find_themselves_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    from simmate_remote.workflows.shell import place

    if not own:
        monkeypatch.setattr(place, "_libc", None)
    here = os.getcwd()
    assert Script(handlers=(OldStyle(),)).run(tmp_path / "a", script=at_least(2)) == "got 2"
    assert os.getcwd() == here


def test_the_current_folder_of_other_threads_stays_what_it_is(tmp_path: Path) -> None:
    seen: set[str] = set()

    class Looks(OldStyle):
        def check(self) -> bool:
            assert Path.cwd() == tmp_path / "a"
            time.sleep(0.2)
            return False

    import threading

    done = threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            seen.add(os.getcwd())

    thread = threading.Thread(target=look)
    thread.start()
    Script(handlers=(Looks(),)).run(tmp_path / "a", script="echo")
    done.set()
    thread.join()
    assert seen == {os.getcwd()}
