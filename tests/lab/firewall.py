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
