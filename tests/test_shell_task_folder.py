"""A task's folder: whose it is, what is never overwritten, and what is left in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simmate_remote.errors import (
    FolderNotEmptyError,
    ProgramFailedError,
    TaskError,
)
from tests.shell_tasks import Script
from tests.test_shell_task import Plain


def test_the_folder_is_made_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = Plain().perform({"numbers": [1]})
    assert outcome.folder.parent == tmp_path
    assert outcome.folder.name.startswith("plain-")
    assert outcome.folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_with_content_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FolderNotEmptyError, match=r"not empty: it has thesis\.txt"):
        Script().run(tmp_path, script="echo")
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_what_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(TaskError, match="cannot be the task's folder"):
            Script().run(folder, script="echo")


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailedError, match=r"cannot be started: logs/out: No such file"):
        Script(stdout="logs/out").run(tmp_path / "a", script="echo")


def test_a_task_may_go_on_with_what_is_there_and_never_overwrites_it(tmp_path: Path) -> None:
    (tmp_path / "density.txt").write_text("42")
    assert Script(existing="continue").run(tmp_path, script="cat density.txt") == "42"
    other = tmp_path / "other"
    other.mkdir()
    (other / "value.txt").write_text("mine")
    with pytest.raises(FolderNotEmptyError, match=r"value\.txt already"):
        Script(existing="continue").run(other, script="echo")
    assert (other / "value.txt").read_text() == "mine"
    assert not (other / "script.sh").exists()


def test_a_finished_task_is_read_and_not_run_again(tmp_path: Path) -> None:
    script = "echo x >> count.txt; echo result"
    assert Script().run(tmp_path / "a", script=script) == "result"
    again = Script().perform({"script": script}, tmp_path / "a")
    assert (again.data, again.ran, again.attempts) == ("result", False, 1)
    assert (tmp_path / "a" / "count.txt").read_text() == "x\n"


def test_a_folder_of_other_parameters_or_another_task_is_refused(tmp_path: Path) -> None:
    Script().run(tmp_path / "a", script="echo 1")
    with pytest.raises(FolderNotEmptyError, match="another value of value"):
        Script().run(tmp_path / "a", script="echo 1", value=2)
    with pytest.raises(FolderNotEmptyError, match="another task"):
        Plain(existing="continue").run(tmp_path / "a", numbers=[1])


def test_files_are_kept_compressed_and_removed_as_declared(tmp_path: Path) -> None:
    task = Script(remove=("*.wfc", "scratch"), compress=("*.xml",), keep=("keep.*",))
    script = "mkdir scratch; echo > scratch/a; for f in a.wfc keep.wfc a.xml keep.xml; do echo $f > $f; done"
    task.run(tmp_path / "a", script=script)
    left = {path.name for path in (tmp_path / "a").iterdir()} - {".simmate-remote"}
    assert left == {"a.xml.gz", "keep.wfc", "keep.xml", "script.sh", "value.txt", "stdout.txt", "stderr.txt"}


def test_a_failed_task_keeps_all_its_files(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailedError):
        Script(remove=("*.wfc",)).run(tmp_path / "a", script="echo > a.wfc; exit 1")
    assert (tmp_path / "a" / "a.wfc").exists()
