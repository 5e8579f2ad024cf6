"""What the fork server imports before anything is forked from it."""

import distributed
import distributed.comm.tcp  # noqa: F401

import simmate_remote.cluster.host.roles  # noqa: F401
