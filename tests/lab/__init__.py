"""A distant machine on this machine: real OpenSSH behind a firewall, with latency, loss and outages on demand."""

from tests.lab.accounts import Account
from tests.lab.lab import Lab
from tests.lab.network import Network
from tests.lab.processes import Process, Socket
from tests.lab.sshd import Login

__all__ = ["Account", "Lab", "Login", "Network", "Process", "Socket"]
