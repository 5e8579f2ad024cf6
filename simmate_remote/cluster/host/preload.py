"""What the fork server imports before anything is forked from it."""

import distributed
import distributed.comm.tcp
import distributed.dashboard.core  # noqa: F401

import simmate_remote.cluster.host.roles  # noqa: F401
