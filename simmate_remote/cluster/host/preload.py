"""What the fork server imports, and computes, before anything is forked from it."""

import gc
import sys
import threading

# Nothing of what is imported here is ever garbage: not looking for any makes the import quicker, and leaving it out of
# later searches lets the forked processes go on sharing its memory.
gc.disable()

from simmate_remote.cluster.first_connection import read_authorities

# Once for all that are forked, while the imports below go on.
reading = threading.Thread(target=read_authorities)
reading.start()

import distributed
import distributed.comm.tcp
import distributed.utils
import distributed.versions

import simmate_remote.cluster.host.roles  # noqa: F401

if "numpy" in sys.modules:
    # Each worker seeds it first of all: without this each would import it, when everybody waits for the workers.
    import numpy.random  # noqa: F401

# Scheduler, workers and clients tell each other their versions; it remembers what it found out.
distributed.versions.get_versions()

# Each nanny would import numpy and pandas, where they are, for a fork server that it is about to start: this is that
# server. They cost 0.2 s of a core for each nanny, just when its worker shall come, which would get nothing of them.
distributed.utils._forkserver_preload_set = True  # noqa: SLF001

# Nothing may be forked while another thread runs.
reading.join()
gc.freeze()
gc.enable()
