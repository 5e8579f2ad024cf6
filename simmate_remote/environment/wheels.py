"""Collect a wheel of each wanted distribution, for the host's platform: from the store, an index, or built here."""

from __future__ import annotations

import contextvars
import hashlib
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from simmate_remote.environment import pip
from simmate_remote.environment.builds import built_wheel, was_built
from simmate_remote.environment.local import Distribution, Wanted
from simmate_remote.environment.platform_tags import HostPlatform
from simmate_remote.environment.store import Wheel, WheelStore, read_json, write_json
from simmate_remote.errors import Remedy, WheelMissingError

_AT_ONCE = 4


def collect(
    wanted: Wanted, platform: HostPlatform, store: WheelStore, *, host: str, step: Callable[[str], object]
) -> list[Wheel]:
    """Collect a wheel of each.

    Args:
        wanted: What shall be installed.
        platform: Where.
        store: Where wheels are kept.
        host: The host's name, for messages.
        step: Told what is being done, if it takes time.

    Returns:
        The wheels, in the order of their names.

    Raises:
        WheelMissingError: Some cannot be had; all of them are named.
        SetupError: There is no pip here.
    """
    tags = platform.tags()
    reasons: dict[str, str] = {}
    found: dict[str, Path] = {}
    with store.busy:
        from_index = [each for each in wanted.distributions if each.source is None]
        missing = [
            each
            for each in from_index
            if store.find(each.name, each.version, tags) is None and not was_built(each, platform, store)
        ]
        if missing:
            step(f"fetching {len(missing)} wheel{'s' if len(missing) > 1 else ''}")
            reasons = _fetch(missing, platform, store)
        # Where not one of several could be had, it is the index that is out of reach, and nothing can be built either.
        hopeless = set(reasons) if len(reasons) == len(missing) > 1 else set()
        for each in wanted.distributions:
            path = store.find(each.name, each.version, tags) if each.source is None else None
            if path is None and each.name not in hopeless:
                try:
                    path = built_wheel(each, platform, store, step)
                except (pip.PipError, OSError) as error:
                    reasons[each.name] = str(error)
            if path is not None:
                found[each.name] = path
                reasons.pop(each.name, None)
        if reasons:
            raise _missing([each for each in wanted.distributions if each.name in reasons], reasons, platform, host)
        if wanted.further:
            for path in _resolve(wanted, platform, store, host, step):
                found.setdefault(parse_wheel_filename(path.name)[0], path)
        return [store.wheel(found[name]) for name in sorted(found)]


def _fetch(missing: Sequence[Distribution], platform: HostPlatform, store: WheelStore) -> dict[str, str]:
    """Fetch wheels; give pip's reasons for those that cannot be had, by name."""
    with store.arriving() as folder:
        try:
            pip.download([each.pin for each in missing], platform, folder)
        except pip.PipError as error:
            if len(missing) == 1:
                return {missing[0].name: str(error)}
        else:
            store.take(folder)
            return {}

    def alone(each: Distribution) -> tuple[str, str | None]:
        with store.arriving() as folder:
            try:
                pip.download([each.pin], platform, folder, patient=False)
            except pip.PipError as error:
                return each.name, str(error)
            store.take(folder)
            return each.name, None

    # Each with what belongs to this thread: the programs that end together.
    contexts = [contextvars.copy_context() for _ in missing]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        outcomes = pool.map(lambda context, each: context.run(alone, each), contexts, missing)
        return {name: reason for name, reason in outcomes if reason is not None}


def _resolve(
    wanted: Wanted, platform: HostPlatform, store: WheelStore, host: str, step: Callable[[str], object]
) -> list[Path]:
    """Find wheels for what nothing here meets, and for all that it needs; the same ones the next time."""
    pins = [each.pin for each in wanted.distributions]
    question = "\n".join([str(platform), sys.version, *pins, "", *map(str, wanted.further)])
    notes = store.folder / "resolved" / f"{hashlib.sha256(question.encode()).hexdigest()[:24]}.json"
    paths = [store.folder / name for name in read_json(notes) or []]
    if paths and all(path.is_file() for path in paths):
        return paths
    step(f"fetching {', '.join(each.name for each in wanted.further)}")
    with store.arriving() as folder:
        try:
            # Without their markers: pip would ask this machine whether they count.
            plain = [_without_marker(each) for each in wanted.further]
            pip.download(plain, platform, folder, constraints=pins)
        except pip.PipError as error:
            names = ", ".join(each.name for each in wanted.further)
            raise WheelMissingError(
                f"no wheels for {platform} can be had of {names}, together with what is installed here",
                host=host,
                meanwhile="nothing was changed there",
                remedies=(Remedy(f"{sys.executable} -m pip install {names}", "here, shows whether they fit at all"),),
                detail=str(error),
            ) from error
        paths = store.take(folder)
    write_json(notes, [str(path.relative_to(store.folder)) for path in paths])
    return paths


def _without_marker(requirement: Requirement) -> Requirement:
    plain = Requirement(str(requirement))
    plain.marker = None
    return plain


def _missing(
    missing: Sequence[Distribution], reasons: dict[str, str], platform: HostPlatform, host: str
) -> WheelMissingError:
    one = len(missing) == 1
    pins = " ".join(each.pin for each in missing)
    remedies = []
    conda = [each for each in missing if each.installer == "conda"]
    if conda:
        pinned = " ".join(each.pin for each in conda)
        remedies.append(
            Remedy(f"{sys.executable} -m pip install --force-reinstall {pinned}", "these exist only in conda here")
        )
    remedies.append(
        Remedy(f"simmate-remote setup {host} --only simmate-remote", "makes a minimal environment, without what fails")
    )
    return WheelMissingError(
        f"{'this' if one else f'these {len(missing)}'} cannot be had for {platform}: {pins}",
        host=host,
        meanwhile="nothing was changed there",
        remedies=tuple(remedies),
        detail="\n".join(f"{each.pin}: {reasons[each.name].splitlines()[-1]}" for each in missing[:20]),
    )
