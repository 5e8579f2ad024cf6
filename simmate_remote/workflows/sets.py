"""Several parameter sets from one command line: a file of parameters, and a pattern that stands for many files."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml

from simmate_remote.errors import WorkflowError
from simmate_remote.workflows.parameters import annotation_of, check_parameters, parse_parameters
from simmate_remote.workflows.target import Target

_WILD = frozenset("*?[")


def read_parameters(path: Path) -> dict[str, Any]:
    """Read parameters by name from a YAML or JSON file.

    Raises:
        WorkflowError: It cannot be read, or is no mapping of names to values.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise WorkflowError(f"the parameters in {path} cannot be read: {error}", meanwhile="nothing was run") from error
    except yaml.YAMLError as error:
        raise WorkflowError(f"{path} is neither YAML nor JSON: {error}", meanwhile="nothing was run") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise WorkflowError(f"{path} has to be a mapping of parameters' names to values", meanwhile="nothing was run")
    return values


def parameter_sets(target: Target, words: Iterable[str], file: Path | None = None) -> list[dict[str, Any]]:
    """Read the parameters of one run, or of several.

    Args:
        target: What they are for.
        words: Each ``name=value``; one value may be a pattern of file names, which stands for a run for each file.
        file: Further parameters; a word goes before the file.

    Returns:
        Checked parameters by name, for each run; one at least.

    Raises:
        WorkflowError: One of them is wrong, or a pattern fits no file.
    """
    words = list(words)
    given = {word.partition("=")[0] for word in words}
    from_file = read_parameters(file) if file is not None else {}
    rest = {name: value for name, value in from_file.items() if name not in given}
    patterns = [word for word in words if _is_pattern(target, word)]
    if len(patterns) > 1:
        raise WorkflowError(
            f"{' and '.join(patterns)} both stand for many files, and only one parameter may",
            meanwhile="nothing was run",
        )
    if not patterns:
        return [_one_set(target, words, rest)]
    name, _, pattern = patterns[0].partition("=")
    files = sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True))
    if not files:
        raise WorkflowError(f"{name}={pattern}: there is no such file", meanwhile="nothing was run")
    others = [word for word in words if word is not patterns[0]]
    return [_one_set(target, [f"{name}={each}", *others], rest) for each in files]


def _one_set(target: Target, words: list[str], rest: dict[str, Any]) -> dict[str, Any]:
    if not rest:
        return parse_parameters(target, words)
    parsed = parse_parameters(target, words, complete=False)
    return check_parameters(target, {**rest, **parsed})


def _is_pattern(target: Target, word: str) -> bool:
    """Say whether a word gives a pattern to a parameter that is one file."""
    name, _, value = word.partition("=")
    annotation = annotation_of(target, name)
    is_file = annotation is Path or (Path in get_args(annotation) and get_origin(annotation) in (Union, UnionType))
    return is_file and bool(_WILD & set(value)) and not Path(value).exists()
