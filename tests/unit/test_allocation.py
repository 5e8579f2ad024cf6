"""A process that reads one byte at a time does not ask the kernel for memory each time."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

READS = 500
PROGRAM = f"""
import resource, socket
from simmate_remote.streams.allocation import keep_memory_of_reads

{{call}}
one, two = socket.socketpair()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({READS}):
        one.send(b".")
        two.recv(256 * 1024)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def page_faults(call: str) -> int:
    """Count the pages that the kernel had to give while a new process read single bytes."""
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(call=call)], check=True, capture_output=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc lets a program choose")
def test_reads_of_one_byte_cost_no_pages() -> None:
    assert page_faults("") >= READS
    assert page_faults("keep_memory_of_reads()") < READS // 10
