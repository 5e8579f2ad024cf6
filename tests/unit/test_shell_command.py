"""Commands: split as a shell would, filled in, and refused where only a shell would understand them."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.errors import TaskDeclarationError
from simmate_remote.workflows.shell.command import check_command, fill_command

VALUES = {"cores": 8, "ranks": 4, "threads": 2, "gpus": 1, "memory": 1000}


@given(st.lists(st.text(min_size=1), min_size=1))
def test_any_words_come_through_a_list_and_a_quoted_line(words: list[str]) -> None:
    escaped = [word.replace("{", "{{").replace("}", "}}") for word in words]
    assert fill_command(check_command(escaped), VALUES) == words


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="{}$`", exclude_categories=["Cs"])), min_size=1))
def test_what_is_quoted_is_one_word(words: list[str]) -> None:
    if words[0]:
        assert check_command(shlex.join(words)) == words


def test_fields_are_filled_in() -> None:
    words = check_command("mpirun -n {ranks} --map-by slot:PE={threads} pw.x -in 'my file.in'")
    assert fill_command(words, VALUES) == [
        "mpirun", "-n", "4", "--map-by", "slot:PE=2", "pw.x", "-in", "my file.in",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "command", ["a > b", "a | b", "a; b", "a && b", "a `b`", "a $B", "(a)", "a &", "a 2>&1", "a <b", '"$B" a', "a>b"]
)
def test_what_wants_a_shell_is_refused(command: str) -> None:
    with pytest.raises(TaskDeclarationError, match="only a shell understands"):
        check_command(command)


@pytest.mark.parametrize("command", ["", "   ", [], [""], "a {b}", "a {", "a {}", ["a", "}"], "a 'b"])
def test_what_is_no_command(command: str | list[str]) -> None:
    with pytest.raises(TaskDeclarationError):
        check_command(command)
