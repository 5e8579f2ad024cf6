"""The page lists each check with what its docstring says; ``python -m tests.unit.test_doctor_page`` writes the list."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from simmate_remote.doctor.registry import all_checks

PAGE = Path(__file__).parents[2] / "docs/doctor.md"
BETWEEN = re.compile(r"(<!-- checks: [^\n]*-->\n).*?(<!-- end of checks -->)", re.DOTALL)


def with_list(page: str) -> str:
    """Give the page with the list as it should be."""
    lines = ["", "| check | looks at | why it matters |", "| --- | --- | --- |"]
    for check in [*all_checks(with_host=False), *all_checks(with_host=True)]:
        looks_at = (inspect.getdoc(type(check)) or "").replace("\n", " ").rstrip(".")
        lines.append(f"| `{check.name}` | {looks_at} | {check.why} |")
    return BETWEEN.sub(lambda match: match[1] + "\n".join(lines) + "\n\n" + match[2], page)


def test_the_page_lists_the_checks() -> None:
    assert PAGE.read_text() == with_list(PAGE.read_text())


if __name__ == "__main__":
    PAGE.write_text(with_list(PAGE.read_text()))
