"""The lab for a person: ``python -m tests.lab`` brings it up until Ctrl-C; from another shell, more words change it."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from tests.lab import requirements
from tests.lab.environments import make_environment, same_as_here
from tests.lab.folder import LABS, read_json
from tests.lab.lab import Lab
from tests.lab.network import Network

WELCOME = """\
The lab is up: lab-box at {address}, where only port 22 answers. Here (in this checkout) you can type:

    export SIMMATE_REMOTE_HOSTS={inventory}
    ssh -F {ssh_config} lab-box
    simmate-remote connect lab-box

and, in another shell as root, change its network:

    python -m tests.lab delay 50      every round trip takes 50 ms longer
    python -m tests.lab loss 1        1 % of the packets are lost
    python -m tests.lab down          a silent outage; `up` ends it
    python -m tests.lab forget        the firewall forgets every connection
    python -m tests.lab status

Its files are in {folder}, sshd's log is sshd.log there. Ctrl-C ends the lab."""


BY_HAND = "by-hand"  # marks the lab of a person, so that commands do not touch a test's
ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def main() -> int:
    """Do what the command line says, and return the exit status."""
    arguments = _parser().parse_args()
    match arguments.command:
        case "install":
            requirements.install()
            make_environment(same_as_here())
        case None:
            return _stay_up()
        case _:
            return _change(arguments)
    return 0


def _stay_up() -> int:
    if reason := Lab.missing():
        print(f"{reason[0]}\n  next:      {reason[1]}", file=sys.stderr)
        return 1
    with Lab.up() as lab:
        text = WELCOME.format(
            address=lab.address, inventory=lab.inventory, ssh_config=lab.ssh_config, folder=lab.folder
        )
        # Not before: what the lab starts would inherit deaf ears.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        (lab.folder / BY_HAND).touch()
        print(text, flush=True)
        signal.sigwait(ENDING)
    return 0


def _change(arguments: argparse.Namespace) -> int:
    networks = _running()
    if len(networks) != 1:
        found = f"there are {len(networks)}, and no way to choose" if networks else "there is none"
        print(f"this needs one running lab; {found}\n  next:      python -m tests.lab", file=sys.stderr)
        return 1
    (network,) = networks
    match arguments.command:
        case "delay":
            network.delay(arguments.milliseconds)
        case "loss":
            network.loss(arguments.percent)
        case "down":
            network.down()
        case "up":
            network.up()
        case "forget":
            network.forget_connections()
        case "address":
            network.new_address()
    print(json.dumps(network.state(), indent=2))
    return 0


def _running() -> list[Network]:
    """Find the labs that a person brought up and whose cable answers."""
    found = []
    for path in (marker.parent for marker in LABS.glob(f"lab-*/{BY_HAND}")):
        network = Network(path, read_json(path / "state.json").get("init_pid", 0))
        try:
            network.state()
        except OSError:
            continue
        found.append(network)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("install", help="install the Debian packages and the Python environment that the lab needs")
    commands.add_parser("delay", help="set the latency").add_argument("milliseconds", type=float, help="round trip")
    commands.add_parser("loss", help="lose packets").add_argument("percent", type=float)
    commands.add_parser("down", help="begin a silent outage")
    commands.add_parser("up", help="end the outage")
    commands.add_parser("forget", help="let the firewall forget every connection")
    commands.add_parser("address", help="give this machine another address")
    commands.add_parser("status", help="show the network")
    return parser


if __name__ == "__main__":
    sys.exit(main())
