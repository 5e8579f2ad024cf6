"""What to run: ``FILE.py:function``, ``package.module:function``, or an object with a ``run`` method."""

from __future__ import annotations

import asyncio
import difflib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from simmate_remote.errors import Remedy, WorkflowError


def call(function: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    """Call a function by name, and run an async one to its end."""
    result = function(**parameters)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    return result


@dataclass(frozen=True)
class Target:
    """A function that can be run, and how another process finds it.

    Args:
        module: The name under which the module was imported here.
        attribute: The path from the module to the function, such as ``relax`` or ``workflow.run``.
        function: The function itself.
        called: What its user calls it; empty: as the attribute.
    """

    module: str
    attribute: str
    function: Callable[..., Any]
    called: str = ""

    @property
    def name(self) -> str:
        """The short name, for progress and dashboards."""
        return self.called or self.attribute.removesuffix(".run")


def load_target(text: str) -> Target:
    """Import what a command line names.

    A file inside a package is imported under its full name, so that its relative imports work; any other file is
    imported as a module of its own. As with ``python FILE.py``, its folder can be imported from.

    Args:
        text: ``FILE.py:function`` or ``package.module:function``; dots lead on to attributes, and of an object
            that has a ``run`` method, that method is taken. Or the name of a workflow that an installed package
            makes known.

    Raises:
        WorkflowError: There is no such file, module or function, or the import failed.
    """
    text = known_workflows().get(text, text)
    place, colon, attribute = text.rpartition(":")
    if not colon or not place or not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", attribute):
        raise WorkflowError(
            f"{text!r} does not name a function: write FILE.py:function or package.module:function",
            remedies=(Remedy("simmate-remote run --help", "shows examples"),),
        )
    return _find(import_place(place), attribute, place)


def import_place(place: str) -> ModuleType:
    """Import a file or a module, as :func:`load_target` does.

    Raises:
        WorkflowError: There is none, or its import failed.
    """
    if place.endswith(".py") or "/" in place:
        return _import_file(Path(place).expanduser().absolute(), place)
    _search_first(Path.cwd())
    return _import(place, place)


def known_workflows() -> dict[str, str]:
    """Give where the workflows of installed packages are, by name: entry points of ``simmate_remote.workflows``."""
    from importlib.metadata import entry_points

    return {entry.name: entry.value for entry in entry_points(group="simmate_remote.workflows")}


def target_of(defined: Any, called: str = "") -> Target:
    """Give the target that a workflow or a task is, wherever it was defined.

    Args:
        defined: It; with ``__module__`` and ``__qualname__``.
        called: What its user calls it.

    Raises:
        WorkflowError: It was typed into a notebook or an interpreter, where no other process finds it.
    """
    module = defined.__module__
    if module == "__main__":
        # The script that is running: on the host it is a module as any other, under the name of its file.
        path = getattr(sys.modules[module], "__file__", None)
        if path is None or not Path(path).is_file():
            raise WorkflowError(
                f"{defined.__qualname__} was typed into a notebook or an interpreter, and no other process finds it",
                meanwhile="nothing was run",
                detail="Write it to a file, and import that; `.run()` works here in any case.",
            )
        module = _free_name(Path(path))
        sys.modules.setdefault(module, sys.modules["__main__"])
    return Target(module, defined.__qualname__, defined, called)


def _import_file(path: Path, place: str) -> ModuleType:
    if not path.is_file():
        close = difflib.get_close_matches(path.name, [file.name for file in path.parent.glob("*.py")], n=3)
        raise WorkflowError(f"there is no file {path}{_did_you_mean(close)}")
    if not (path.parent / "__init__.py").is_file():
        _search_first(path.parent)
        return _import_alone(path, place)
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    _search_first(folder)
    module = _import(".".join(parts), place)
    if module.__file__ is None or not path.samefile(module.__file__):
        raise WorkflowError(
            f"{place} is the module {module.__name__} of its package, but that name already belongs to "
            f"{module.__file__}: rename the folder {folder / parts[0]}"
        )
    return module


def _search_first(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _import(name: str, place: str) -> ModuleType:
    with _explained(place):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # the module exists, and something that it imports does not
            here = [file.stem for file in Path.cwd().glob("*.py")]
            close = difflib.get_close_matches(name, here, n=3)
            raise WorkflowError(f"there is no module {name!r}{_did_you_mean(close)}") from error


def _import_alone(path: Path, place: str) -> ModuleType:
    """Execute a file that is in no package, anew each time: it may have been edited."""
    name = _free_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        with _explained(place):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    return module


def _free_name(path: Path) -> str:
    """Give the name under which a file can be imported that is in no package."""
    name = re.sub(r"\W", "_", path.stem)
    name = f"_{name}" if name[:1].isdigit() else name
    while name in sys.stdlib_module_names or not _is_free(name, path):
        name += "_"
    return name


def _is_free(name: str, path: Path) -> bool:
    taken = sys.modules.get(name)
    return taken is None or getattr(taken, "__file__", None) == str(path)


class _explained:  # noqa: N801 - reads as a verb at its place of use
    """Turn whatever a user's module raises while it is imported into one error that shows where."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None or isinstance(error, WorkflowError | KeyboardInterrupt):
            return
        lines = "".join(_user_frames(error)) + "".join(traceback.format_exception_only(error))
        if isinstance(error, SyntaxError):
            what = f"{error.filename}, line {error.lineno}: {error.msg}"
        else:
            where = _last_user_frame(error)
            at = f" ({where.filename}, line {where.lineno})" if where else ""
            what = f"importing {self.place} failed with {type(error).__name__}: {error}{at}"
        raise WorkflowError(what, meanwhile="nothing was run", detail=lines) from error


def _frames(error: BaseException) -> Iterator[traceback.FrameSummary]:
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith("<frozen importlib") and frame.filename not in (
            __file__,
            importlib.__file__,
        ):
            yield frame


def _user_frames(error: BaseException) -> list[str]:
    return traceback.StackSummary.from_list(list(_frames(error))).format()


def _last_user_frame(error: BaseException) -> traceback.FrameSummary | None:
    frames = list(_frames(error))
    return frames[-1] if frames else None


def _find(module: ModuleType, attribute: str, place: str) -> Target:
    found: Any = module
    walked = module.__name__
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = [name for name in vars(found) if not name.startswith("_") and _runs(found, name)]
            close = difflib.get_close_matches(part, names, n=3)
            raise WorkflowError(
                f"{walked} has no {part!r}" + (_did_you_mean(close) or _it_has(names)),
                remedies=tuple(Remedy(f"simmate-remote run {place}:{name}") for name in close[:1]),
            )
        found = getattr(found, part)
        walked += f".{part}"
    if not callable(found) and callable(getattr(found, "run", None)):
        found, attribute = found.run, f"{attribute}.run"
    if not callable(found):
        raise WorkflowError(f"{walked} is a {type(found).__name__}: neither a function nor an object with run()")
    return Target(module.__name__, attribute, found)


def _runs(owner: Any, name: str) -> bool:
    value = getattr(owner, name, None)
    return (callable(value) and not isinstance(value, type)) or callable(getattr(value, "run", None))


def _did_you_mean(close: list[str]) -> str:
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _it_has(names: list[str]) -> str:
    return f"; it has {', '.join(names[:8])}" if names else ""
