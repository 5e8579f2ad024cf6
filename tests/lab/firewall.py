"""The firewall of the box: nothing but port 22 comes in, and nothing goes out that was not asked for."""

from __future__ import annotations

import secrets
import subprocess

ACCEPT_SSH = """
table inet firewall
delete table inet firewall
table inet firewall {{
  chain input {{
    type filter hook input priority 0; policy drop;
    iifname lo accept
    tcp dport 22 ct state new ct mark set {mark} accept
    ct mark {mark} accept
  }}
  chain output {{
    type filter hook output priority 0; policy drop;
    oifname lo accept
    ct mark {mark} accept
  }}
}}
"""
ACCEPT_EVERYTHING = """
table inet firewall
delete table inet firewall
"""


def set_firewall(pid: int, *, everything: bool = False) -> None:
    """Replace the rules in a network namespace, in one step.

    Connections are marked with a number that is new each time: those that older rules let in no longer match, and
    their packets are dropped without a word.

    Args:
        pid: A process in that namespace.
        everything: Accept all.
    """
    rules = ACCEPT_EVERYTHING if everything else ACCEPT_SSH.format(mark=secrets.randbelow(2**31 - 1) + 1)
    subprocess.run(
        ["nsenter", f"--target={pid}", "-n", "nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True
    )


def set_idle_limit(pid: int, seconds: int, *, strict: bool) -> None:
    """Set after how many seconds of silence a network namespace's connection tracking forgets a TCP connection.

    Args:
        pid: A process in that namespace.
        seconds: The limit, for connections that send something from now on.
        strict: Whether packets of a connection that is not known are invalid; otherwise they make it known again.
    """
    folder = "/proc/sys/net/netfilter"
    script = f"echo {seconds} > {folder}/nf_conntrack_tcp_timeout_established; echo {int(not strict)} > "
    script += f"{folder}/nf_conntrack_tcp_loose"
    subprocess.run(["nsenter", f"--target={pid}", "-n", "/bin/sh", "-ec", script], check=True)
