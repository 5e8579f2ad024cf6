"""``python -m fuzz``: play a hostile end against each reader of what such an end sends, for a while; ``make fuzz``.

What was found interesting is kept between runs, in the user's cache folder; so is an input that does harm.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path

from platformdirs import user_cache_path

from fuzz.targets import NAMES, load

MOST_INPUT = 2048
SECONDS_FOR_ONE = 25
MEGABYTES = 2048
GRACE = 120
"""Seconds that an engine may take to begin and to end."""


def fuzz(name: str, seconds: int, folder: Path) -> tuple[str, list[Path]]:
    """Fuzz one target.

    Args:
        name: Which.
        seconds: For how long.
        folder: Where the corpus is, and where findings go.

    Returns:
        What was done, in words, and the inputs that do harm.
    """
    corpus, findings = folder / name / "corpus", folder / name / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    for seed in load(name).seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:40]).write_bytes(seed)
    before = set(findings.iterdir())
    options = {
        "max_total_time": seconds,
        "max_len": MOST_INPUT,
        "timeout": SECONDS_FOR_ONE,
        "rss_limit_mb": MEGABYTES,
        "artifact_prefix": f"{findings}/",
        "print_final_stats": 1,
    }
    words = [sys.executable, "-m", "fuzz.engine", name, *(f"-{key}={value}" for key, value in options.items())]
    result = subprocess.run(
        [*words, str(corpus)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=seconds + GRACE
    )
    output = result.stdout.decode(errors="replace")
    (folder / name / "log").write_text(output)
    found = sorted(set(findings.iterdir()) - before)
    if result.returncode and not found:
        sys.exit(f"{name}: the fuzzer itself failed:\n{output[-4000:]}")
    inputs = re.search(r"number_of_executed_units: (\d+)", output)
    branches = re.findall(r"cov: (\d+)", output)
    reason = re.search(r"^(?:\S*Finding|\S*(?:Error|Exception)): .*|^==\d+== ERROR: .*", output, re.MULTILINE)
    summary = f"{inputs[1] if inputs else '?'} inputs, {branches[-1] if branches else '?'} branches"
    return (f"{summary}; {reason[0] if reason else 'see the log'}" if found else summary), found


def main() -> None:
    """Fuzz every target, or play one input again."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=60, help="how long, for each target")
    parser.add_argument("--only", choices=NAMES, help="one of them")
    parser.add_argument(
        "--folder", type=Path, default=user_cache_path("simmate-remote") / "fuzz", help="for the corpus"
    )
    parser.add_argument("--play", type=Path, metavar="FILE", help="play one input again, with --only")
    options = parser.parse_args()
    if options.play:
        if not options.only:
            parser.error("--play needs --only")
        load(options.only).check(options.play.read_bytes())
        return
    harmful = []
    for name in [options.only] if options.only else NAMES:
        summary, found = fuzz(name, options.seconds, options.folder)
        sys.stdout.write(f"{name:<14}{summary}\n")
        sys.stdout.flush()
        harmful += [(name, path) for path in found]
    for name, path in harmful:
        sys.stdout.write(f"does harm: {path}\n  play it again: python -m fuzz --only {name} --play {path}\n")
    sys.exit(1 if harmful else 0)


if __name__ == "__main__":
    main()
