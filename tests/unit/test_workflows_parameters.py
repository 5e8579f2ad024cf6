"""name=value, read by a function's signature."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simmate_remote.errors import WorkflowError
from simmate_remote.workflows.parameters import parse_parameters
from simmate_remote.workflows.signatures import with_defaults
from simmate_remote.workflows.target import Target

if TYPE_CHECKING:
    from decimal import Decimal


class Ensemble(Enum):
    NVE = "nve"


@dataclass
class Grid:
    points: int


def target(function: Callable[..., Any]) -> Target:
    return Target(__name__, function.__name__, function)


def one(annotation: Any) -> Target:
    def function(value):  # type: ignore[no-untyped-def]
        return value

    function.__annotations__ = {} if annotation is None else {"value": annotation}
    return target(function)


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (None, "3", 3),
        (None, "2.5", 2.5),
        (None, "1e-5", 1e-5),
        (None, "true", True),
        (None, "null", None),
        (None, "", None),
        (None, "[1, 2]", [1, 2]),
        (None, "{a: 1}", {"a": 1}),
        (None, "a=b=c", "a=b=c"),
        (None, "[1, ", "[1, "),
        (None, "2026-13-01", "2026-13-01"),
        (Any, "3", 3),
        (str, "3", "3"),
        (str, "null", "null"),
        (str, "", ""),
        (str, ' "x" ', ' "x" '),
        (str | None, "null", None),
        (str | None, "007x", "007x"),
        (int, "3", 3),
        (int, "1_000_000", 1_000_000),
        (int, "1e6", 1_000_000),
        (float, "1e-5", 1e-5),
        (bool, "no", False),
        (Path, "Si.cif", Path("Si.cif")),
        (Path, "3", Path("3")),
        (list[Path], "[a.cif, b.cif]", [Path("a.cif"), Path("b.cif")]),
        (list[str], "[1, No]", ["1", "No"]),
        (list[float], "[1e-5, 2]", [1e-5, 2.0]),
        (Literal["pbe", "lda"], "pbe", "pbe"),
        (Ensemble, "nve", Ensemble.NVE),
        (Grid, "{points: 4}", Grid(4)),
        (object(), "[1]", [1]),
        ("Decimal", "1.5", 1.5),
    ],
)
def test_values(annotation: Any, text: str, value: Any) -> None:
    read = parse_parameters(one(annotation), [f"value={text}"])["value"]
    assert read == value
    assert type(read) is type(value)


def strict(structure: Path, steps: int = 10, *, label: str = "", scale: Decimal | None = None) -> None: ...


def test_annotations_that_are_kept_as_text() -> None:
    values = parse_parameters(target(strict), ["structure=a=b.cif", "steps=5", "scale=3"])
    assert values == {"structure": Path("a=b.cif"), "steps": 5, "scale": 3}
    assert with_defaults(target(strict), values) == {**values, "label": ""}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["structure=a", "stesp=3"], r"no parameter 'stesp'; did you mean steps\?"),
        (["structure=a", "zzz=3"], "it has structure, steps, label, scale"),
        (["steps=3"], r"needs structure=…"),
        (["structure=a", "steps=1", "steps=2"], "steps is given twice"),
        (["structure"], r"'structure' is not a parameter: write name=value"),
        (["=3"], "write name=value"),
        (["structure=a", "steps=many"], r"steps=many: steps should be int"),
        (["structure=a", "steps=2.5"], r"steps=2\.5: steps should be int"),
    ],
)
def test_what_does_not_fit_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(WorkflowError, match=message):
        parse_parameters(target(strict), words)


def test_the_place_inside_a_list_is_named() -> None:
    with pytest.raises(WorkflowError, match=r"value\[1\] should be list\[int\]"):
        parse_parameters(one(list[int]), ["value=[1, x]"])


def test_any_name_where_the_function_takes_any() -> None:
    def anything(**options: int) -> None: ...

    assert parse_parameters(target(anything), ["a=1", "b=x"]) == {"a": 1, "b": "x"}


def test_parameters_by_position_only() -> None:
    def positional(x: int, /) -> None: ...

    with pytest.raises(WorkflowError, match="'x' by position only"):
        parse_parameters(target(positional), ["x=1"])


@given(st.text())
def test_texts_arrive_letter_by_letter(text: str) -> None:
    assert parse_parameters(one(str), [f"value={text}"]) == {"value": text}


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_numbers_arrive_as_they_were(number: float) -> None:
    read = parse_parameters(one(None), [f"value={str(number).lower()}"])["value"]
    assert read == number


@given(st.text())
def test_no_text_is_too_strange_to_be_read_or_refused(text: str) -> None:
    for annotation in (None, int, list[int], Grid):
        with contextlib.suppress(WorkflowError):
            assert set(parse_parameters(one(annotation), [f"value={text}"])) == {"value"}
