"""What the fork server imports before anything is forked from it."""

import gc

# Nothing of what is imported here is ever garbage: not looking for any makes the import quicker, and leaving it out of
# later searches lets the forked processes go on sharing its memory.
gc.disable()

import distributed
import distributed.comm.tcp  # noqa: F401

import simmate_remote.cluster.host.roles  # noqa: F401

gc.freeze()
gc.enable()
