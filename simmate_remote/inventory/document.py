"""A YAML document as plain data that remembers on which line each value stood.

Only what a description of a host needs is understood: mappings, lists, text, numbers, truth values and nothing.
Tags, anchors and merge keys are refused: they have no use here, and a few lines of them can fill the memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

import yaml
from yaml.reader import ReaderError

Path = tuple[str, ...]

_WHOLE = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,18}\.[0-9]{0,18}(?:[eE][+-]?[0-9]{1,3})?")
_TAG = "tag:yaml.org,2002:"
_SCALARS = ("str", "null", "bool", "int", "float", "timestamp", "value", "merge")
_DEEPEST = 20


class Problem(NamedTuple):
    """One thing that is wrong with a file.

    Args:
        line: Where, counted from 1.
        field: The field, with dots between levels; empty where it is the file as a whole.
        message: What was expected, what was found, and what would be right.
    """

    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return ", ".join(part for part in (f"line {self.line}", self.field) if part) + f": {self.message}"


@dataclass
class Document:
    """What a YAML text says.

    Args:
        data: The content as plain Python data.
        lines: The line of each value by its path.
        key_lines: The line of each field's name by its path.
        found: Each value in words, for messages.
        problems: What was wrong with it, if anything.
    """

    data: object = None
    lines: dict[Path, int] = field(default_factory=dict)
    key_lines: dict[Path, int] = field(default_factory=dict)
    found: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class _UnusableError(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(line, "", message)


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        line = (event.start_mark.line if event.start_mark else self.line) + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _UnusableError(line, "anchors and aliases (& and *) are not used here")
        if self.depth >= _DEEPEST:
            raise _UnusableError(line, "this is nested too deeply")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def parse_document(content: bytes) -> Document:
    """Read a YAML document; never raises for what it says.

    Args:
        content: The bytes of the file, in UTF-8.
    """
    document = Document()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        document.problems.append(Problem(line, "", "expected text in UTF-8, found something else"))
        return document
    try:
        node = _compose(text)
    except _UnusableError as error:
        document.problems.append(error.problem)
        return document
    if node is None:
        document.problems.append(
            Problem(1, "", "the file is empty; it needs at least a line such as `ssh: me@lab-box.uni.edu`")
        )
        return document
    document.data = _convert(node, (), document)
    return document


def _compose(text: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
    except ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise _UnusableError(line, f"the character U+{ord(text[error.position]):04X} has no place in YAML") from error
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = (mark.line if mark else loader.line) + 1
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        if r"'\t'" in what:
            what = "there is a tab where YAML wants spaces"
        raise _UnusableError(line, f"this is not YAML: {what}") from error
    except (ValueError, OverflowError) as error:
        # Escapes such as "\UFFFFFFFF" and version numbers of 5,000 digits pass through PyYAML's scanner unchecked.
        raise _UnusableError(loader.line + 1, "this is not YAML: a number is out of range") from error
    finally:
        loader.dispose()


def _convert(node: yaml.Node, path: Path, document: Document) -> object:
    line = node.start_mark.line + 1
    document.lines[path] = line
    tag = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.MappingNode) and tag == "map":
        document.found[path] = "a section"
        return _convert_mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode) and tag == "seq":
        document.found[path] = "a list"
        return [_convert(item, (*path, str(index)), document) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode) and tag in _SCALARS:
        value = _convert_scalar(tag, node.value)
        text = repr(value) if isinstance(value, str) else node.value
        document.found[path] = "nothing" if value is None else text if len(text) <= 60 else text[:57] + "..."
        return value
    document.problems.append(Problem(line, ".".join(path), f"tags such as {node.tag!r} are not used here"))
    document.found[path] = "a tag"
    return None


def _convert_mapping(node: yaml.MappingNode, path: Path, document: Document) -> dict[str, object]:
    data: dict[str, object] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            document.problems.append(Problem(line, ".".join(path), "expected the name of a field, found more"))
            continue
        name = key.value
        here = (*path, name)
        if name in data:
            first = document.key_lines[here]
            document.problems.append(Problem(line, ".".join(here), f"this field was given already in line {first}"))
            continue
        document.key_lines[here] = line
        data[name] = _convert(value, here, document)
    return data


def _convert_scalar(tag: str, text: str) -> object:
    # YAML 1.1 knows more numbers (010 is eight, 1:30 is ninety); whoever writes them here means a text.
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() in ("true", "yes", "on")
    if tag == "int" and _WHOLE.fullmatch(text):
        return int(text)
    if tag == "float" and _DECIMAL.fullmatch(text):
        return float(text)
    return text
