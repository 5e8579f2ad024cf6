"""``python -m fuzz.engine TARGET OPTIONS…``: one target in the coverage-guided fuzzer; OPTIONS are libFuzzer's own."""

from __future__ import annotations

import sys

import atheris


def main() -> None:
    """Fuzz until an option of libFuzzer says that it is enough, or an input does harm."""
    with atheris.instrument_imports(include=["simmate_remote"]):
        from fuzz.targets import load

        target = load(sys.argv[1])
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
