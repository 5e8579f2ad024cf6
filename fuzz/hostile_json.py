"""JSON as a hostile end would write it: the fields that are expected, with values that are not."""

from __future__ import annotations

from collections.abc import Sequence

from fuzz.script import Script

_VALUES = (
    "null", "true", "0", "1", "-1", '""', '"x"', "[]", "{}", "1e400", "NaN", "1" * 4299, "1" * 5000,
    "0." + "7" * 60_000,    '"\\ud800"', '"\\u001b[2J"', "[1,2,3]", "[5.0,3]", "[NaN,1]", "[1e308,1e9]", "[[[[[[]]]]]]",
    '"' + "y" * 60_000 + '"',
    "[" * 50_000, "[" * 900 + "]" * 900, '{"a":' * 5_000 + "1" + "}" * 5_000, '"' + "t" * 64 + '"', '["3",11,9]',
)  # fmt: skip


def value(script: Script, usual: Sequence[str]) -> str:
    """Give one of the usual values, in two cases of three, or any other."""
    which = script.number()
    if which < 170:
        return usual[which % len(usual)]
    return script.choice(_VALUES) if which < 250 else script.take(script.number() % 40).decode("latin-1")


def record(script: Script, fields: Sequence[tuple[str, Sequence[str]]]) -> bytes:
    """Give an object with most of some fields; the last of equal names counts, and some come twice."""
    parts = []
    for name, usual in fields:
        skip = script.number()
        if skip < 230:
            parts.append(f'"{name}":{value(script, usual)}')
        if skip >= 245:
            parts.append(f'"{name}":{value(script, usual)},"{name}":{value(script, usual)}')
    return ("{" + ",".join(parts) + "}").encode("utf-8", errors="replace")
