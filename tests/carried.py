"""Code of a user's own that several tests carry to a host: pieces of a file, to be put together."""

WAIT = """
from simmate_remote import workflow
from simmate_remote.workflows.current import current

@workflow
def wait() -> str:
    while not (current().folder / "go").exists():
        current().cancelled.wait(0.02)
    return "went"
"""
"""A run that goes on until there is a file ``go`` in its folder."""

CONVERGE = """
from pathlib import Path

from simmate_remote import workflow
from simmate_remote.workflows import ShellTask

class MoreSteps:
    is_monitor = False

    def check(self, directory="./"):
        return "not converged" in Path(directory, "stdout.txt").read_text()

    def correct(self, directory="./"):
        steps = Path(directory, "steps")
        steps.write_text(steps.read_text() + "x")
        return {"errors": ["not converged"], "actions": ["one step more"]}

class Converging(ShellTask[int]):
    command = ("sh", "-c", "if [ $(wc -c < steps) -lt 2 ]; then echo not converged; exit 2; fi")
    handlers = (MoreSteps(),)

    def setup(self, folder: Path) -> None:
        (folder / "steps").write_text("")

@workflow
def converge() -> None:
    Converging().run()
"""
"""A run with a program that is corrected twice."""
