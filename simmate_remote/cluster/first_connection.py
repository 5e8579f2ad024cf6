"""What a process computes once, for its first connection to a scheduler: better done while it waits for something."""

from __future__ import annotations


def read_authorities() -> None:
    """Read the machine's list of certificate authorities, as tornado does for the first TLS connection of a process.

    It takes 20 to 50 ms, and is not used. OpenSSL needs no lock of Python for it, so that a thread can do it meanwhile.
    Where this has another name in another tornado, the first connection reads it by itself.
    """
    import tornado.netutil as tornado_netutil

    getattr(tornado_netutil, "_client_ssl_defaults", int)()


def compute_for_first_connection() -> None:
    """Do all of it: the list, and the versions that scheduler, workers and clients tell each other."""
    from distributed.versions import get_versions

    read_authorities()
    get_versions()
