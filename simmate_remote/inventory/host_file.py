"""One host's file: read it, say what is wrong with it, write it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from simmate_remote.errors import HostFileError, Remedy
from simmate_remote.inventory.document import Problem, parse_document
from simmate_remote.inventory.models import Host, HostDescription
from simmate_remote.inventory.private_file import write_private
from simmate_remote.inventory.problems import find_problems
from simmate_remote.inventory.words import check_host_name

LARGEST_FILE = 2**20


def read_host(path: Path, *, content: bytes | None = None, own_files: Iterable[str] | None = None) -> Host:
    """Read the description of a host.

    Args:
        path: The file; its stem is the name of the host.
        content: The file's bytes, where they have been read (and checked) before.
        own_files: Relative paths of files beside it. With them, ``ssh_config`` must be one of these.

    Raises:
        HostFileError: With file, line, field, what was expected and what would be right, for each mistake.
    """
    try:
        name = check_host_name(path.stem)
    except ValueError as error:
        raise HostFileError(
            f"{shown(path)}: a file's name without `.yaml` is the name of the host, and {path.stem!r} cannot be one: "
            f"{error}",
            meanwhile="the file is not used",
            remedies=(Remedy("simmate-remote hosts list"),),
        ) from error
    document = parse_document(read_file(path) if content is None else content)
    problems = list(document.problems)
    if not isinstance(document.data, dict):
        if not problems:
            message = f"expected fields such as `ssh: me@lab-box.uni.edu`, found {document.found[()]}"
            problems.append(Problem(document.lines[()], "", message))
        raise _wrong_file(path, name, problems)
    fields = dict(document.data)
    problems += _place_ssh_config(fields, path, document.lines, own_files)
    try:
        description = HostDescription.model_validate(fields)
    except ValidationError as error:
        known = {problem[:2] for problem in problems}
        problems += [problem for problem in find_problems(error, document) if problem[:2] not in known]
        raise _wrong_file(path, name, problems) from error
    if problems:
        raise _wrong_file(path, name, problems)
    return Host(name=name, source=path, **dict(description))


def _place_ssh_config(
    fields: dict[str, object],
    path: Path,
    lines: Mapping[tuple[str, ...], int],
    own_files: Iterable[str] | None,
) -> list[Problem]:
    """Let a relative path begin at the folder of the file that says it."""
    config = fields.get("ssh_config")
    if not isinstance(config, str) or not config:
        return []
    if own_files is not None and os.path.normpath(config) not in own_files:
        message = f"in a folder that was trusted, it must be a file of that folder, found {config!r}"
        return [Problem(lines["ssh_config",], "ssh_config", message)]
    if not config.startswith("~"):
        fields["ssh_config"] = os.path.normpath(path.parent.absolute() / config)
    return []


def _wrong_file(path: Path, name: str, problems: list[Problem]) -> HostFileError:
    problems = sorted(set(problems))
    remedies = (Remedy(f"simmate-remote hosts show {shlex.quote(name)}", "reads it again, once it is mended"),)
    if len(problems) == 1:
        return HostFileError(f"{shown(path)}, {problems[0]}", remedies=remedies)
    return HostFileError(
        f"{shown(path)}: {len(problems)} things are wrong in this file",
        remedies=remedies,
        detail="\n".join(map(str, problems)),
    )


def read_file(path: Path) -> bytes:
    """Read a small file whole.

    Raises:
        HostFileError: It cannot be read, or is no description of a host by its size alone.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise HostFileError(
            f"{shown(path)} cannot be read: {error.strerror}",
            remedies=(Remedy(f"ls -l {shlex.quote(str(path))}", "shows whose file it is"),),
        ) from error
    if len(content) > LARGEST_FILE:
        raise HostFileError(
            f"{shown(path)} is larger than 1 MiB, which no description of a host is",
            remedies=(Remedy("simmate-remote hosts list"),),
        )
    return content


def format_host(host: Host) -> str:
    """Write a host as the YAML text that reads back as the same host; what is default is left out."""
    fields = host.model_dump(mode="json", exclude={"name", "source"}, exclude_defaults=True)
    return str(yaml.dump(fields, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100))


class _Dumper(yaml.SafeDumper):
    """Escapes what does not print: YAML would take U+0085 and its like in other quotes for a line break."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _represent_text)


def write_host(host: Host, path: Path, *, overwrite: bool) -> None:
    """Write a host's file.

    Raises:
        FileExistsError: It is there, and ``overwrite`` is false.
        InventoryError: It cannot be written.
    """
    header = f"# {host.name}, as simmate-remote knows it. All fields: simmate-remote hosts schema\n"
    write_private(path, header + format_host(host), overwrite=overwrite)


def shown(path: Path) -> str:
    """Give a path as a person would say it: from here, from home, or whole."""
    path = path.absolute()
    try:
        here = Path.cwd()
    except OSError:
        here = None
    if here is not None and path.is_relative_to(here) and here != Path("/"):
        return str(path.relative_to(here))
    if path.is_relative_to(Path.home()):
        return f"~/{path.relative_to(Path.home())}"
    return str(path)
