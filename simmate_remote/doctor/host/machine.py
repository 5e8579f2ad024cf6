"""What the machine has: processors, memory, load, GPUs, its clock, its queue system; and the Python that runs this."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LIMIT = 8.0
QUEUES = {
    "sbatch": "Slurm",
    "qsub": "PBS or Grid Engine",
    "bsub": "LSF",
    "condor_submit": "HTCondor",
    "oarsub": "OAR",
    "flux": "Flux",
}
NVIDIA_QUESTION = (
    "nvidia-smi",
    "--query-gpu=name,memory.total,memory.used,utilization.gpu",
    "--format=csv,noheader,nounits",
)


def clock() -> float:
    """Tell the time, in seconds since the epoch."""
    return time.time()


def cores() -> dict[str, Any]:
    """Count processors: all, those that we may run on, and what our control groups allow."""
    quota = min(filter(None, map(_cpu_quota, control_groups())), default=None)
    return {"all": os.cpu_count() or 1, "allowed": len(os.sched_getaffinity(0)), "quota": quota}


def memory() -> dict[str, Any]:
    """Tell memory in bytes: total, available, and what our control groups allow."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    kibibytes = {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) > 1}
    limits = [number for group in control_groups() if (number := read_number(group / "memory.max")) is not None]
    return {
        "total": kibibytes["MemTotal"] * 1024,
        "available": kibibytes.get("MemAvailable", kibibytes["MemFree"]) * 1024,
        "swap_free": kibibytes.get("SwapFree", 0) * 1024,
        "limit": min(limits, default=None),
    }


def load() -> list[float]:
    """Tell the load averages of 1, 5 and 15 minutes."""
    return list(os.getloadavg())


def gpus() -> dict[str, Any]:
    """Ask for GPUs: NVIDIA's by their program, AMD's by their device."""
    found: dict[str, Any] = {
        "devices": sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*")),
        "amd": Path("/dev/kfd").exists(),
        "gpus": [],
        "complaint": None,
    }
    if shutil.which(NVIDIA_QUESTION[0]) is None:
        return found
    try:
        done = subprocess.run(
            NVIDIA_QUESTION, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {**found, "complaint": str(error)}
    if done.returncode:
        return {**found, "complaint": (done.stdout + done.stderr).strip()[:500] or f"exit status {done.returncode}"}
    for line in done.stdout.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) == 4:
            found["gpus"].append(dict(zip(("name", "memory_mib", "used_mib", "busy_percent"), words, strict=True)))
    return found


def queues() -> dict[str, str]:
    """Find the programs that hand work to a queue system."""
    return {program: name for program, name in QUEUES.items() if shutil.which(program)}


def python() -> dict[str, Any]:
    """Describe the interpreter that runs this."""
    return {
        "version": list(sys.version_info[:3]),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "in_environment": sys.prefix != sys.base_prefix or Path(sys.prefix, "conda-meta").is_dir(),
        "venv": importlib.util.find_spec("venv") is not None and importlib.util.find_spec("ensurepip") is not None,
        "ssl": importlib.util.find_spec("_ssl") is not None,
    }


def control_groups() -> list[Path]:
    """Give the folders of our control group and of those above it (version 2, cgroups(7))."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    root = Path("/sys/fs/cgroup")
    for line in lines:
        if line.startswith("0::/"):
            own = root / line[4:]
            return [own, *(above for above in own.parents if above.is_relative_to(root))]
    return []


def read_number(path: Path) -> int | None:
    """Read a limit of a control group; None where there is none, or it is ``max``."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _cpu_quota(group: Path) -> float | None:
    try:
        quota, _, period = (group / "cpu.max").read_text().strip().partition(" ")
    except OSError:
        return None
    return int(quota) / int(period) if quota.isdecimal() else None
