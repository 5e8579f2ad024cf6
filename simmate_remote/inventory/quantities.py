"""Durations and sizes, written with a unit: ``5 s``, ``12 h``, ``8 GiB``, ``500 MB``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

_NUMBER_AND_UNIT = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,19})?) ?([A-Za-z]*)")

SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
BYTES = {
    "B": 1,
    "kB": 10**3,
    "KiB": 2**10,
    "MB": 10**6,
    "MiB": 2**20,
    "GB": 10**9,
    "GiB": 2**30,
    "TB": 10**12,
    "TiB": 2**40,
}


def _split(text: str, units: list[str], examples: str) -> tuple[Decimal, str]:
    match = _NUMBER_AND_UNIT.fullmatch(text.strip(" "))
    if match is None:
        raise ValueError(f"a number and a unit are needed, such as {examples}")
    number, unit = match.groups()
    for known in units:
        if unit.lower() == known.lower():
            return Decimal(number), known
    found = f"`{unit}` is no unit that is known here" if unit else "the unit is missing"
    raise ValueError(f"{found}; there are {', '.join(units)}")


class Duration(float):
    """A time span in seconds that reads and prints with its unit.

    It is a ``float`` of seconds wherever a number is wanted, and ``str()`` gives a text such as ``5 s``.
    """

    SHORTEST: ClassVar[float] = 0.001
    LONGEST: ClassVar[float] = 3650 * 86400.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a duration such as ``500 ms``, ``5 s``, ``10 min``, ``12 h`` or ``7 d``.

        Args:
            text: A decimal number and a unit, with or without one space in between.

        Raises:
            ValueError: The text is no duration, or shorter than 1 ms, or longer than ten years.
        """
        number, unit = _split(text, list(SECONDS), "`5 s`, `10 min` or `12 h`")
        return cls._checked(float(number * SECONDS[unit]))

    @classmethod
    def _checked(cls, seconds: float) -> Self:
        if not cls.SHORTEST <= seconds <= cls.LONGEST:
            raise ValueError("it must be from 1 ms to 3650 d")
        return cls(seconds)

    def __str__(self) -> str:
        exact = Decimal(repr(float(self)))
        for unit in ("d", "h", "min", "s") if exact >= 1 else ("ms",):
            count = exact / SECONDS[unit]
            if count == count.to_integral_value():
                return f"{int(count)} {unit}"
        return f"{exact:f} s"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _schema_of(cls, r"^ *[0-9]+(\.[0-9]+)? ?(ms|s|min|h|d) *$")

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(schema["metadata"]["json"])


class Size(int):
    """An amount of memory in bytes that reads and prints with its unit.

    It is an ``int`` of bytes wherever a number is wanted, and ``str()`` gives a text such as ``8 GiB``.
    """

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a size such as ``8 GiB`` (2**30 bytes each) or ``500 MB`` (10**6 bytes each).

        Args:
            text: A decimal number and a unit, with or without one space in between.

        Raises:
            ValueError: The text is no size, or not a positive whole number of bytes.
        """
        number, unit = _split(text, list(BYTES), "`8 GiB` or `500 MB`")
        size = number * BYTES[unit]
        if size != size.to_integral_value():
            raise ValueError("it must be a whole number of bytes")
        return cls._checked(int(size))

    @classmethod
    def _checked(cls, size: int) -> Self:
        if not 0 < size < 2**63:
            raise ValueError("it must be more than nothing and less than 8 EiB")
        return cls(size)

    def __str__(self) -> str:
        count, unit = min((int(self) // factor, unit) for unit, factor in BYTES.items() if int(self) % factor == 0)
        return f"{count} {unit}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _schema_of(cls, r"^ *[0-9]+(\.[0-9]+)? ?(B|kB|KiB|MB|MiB|GB|GiB|TB|TiB) *$")

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(schema["metadata"]["json"])


def _schema_of(cls: type[Duration | Size], pattern: str) -> CoreSchema:
    def read(value: object) -> Duration | Size:
        if isinstance(value, cls):
            return cls._checked(value)  # type: ignore[arg-type]
        if isinstance(value, str):
            return cls.parse(value)
        raise ValueError("the unit is missing")

    return core_schema.no_info_plain_validator_function(
        read,
        serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json"),
        metadata={"json": {"type": "string", "pattern": pattern}},
    )
