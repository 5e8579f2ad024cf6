"""What a task wants of its host, and what it got: cores, ranks, threads, GPUs, memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from simmate_remote.errors import TaskDeclarationError
from simmate_remote.inventory.quantities import Size

Count = int | Literal["all"]

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_GPUS = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Resources:
    """What a task wants.

    Args:
        cores: How many; ``"all"`` that the host has; default: ranks times threads.
        ranks: MPI processes, as far as the command names them.
        threads: Of each rank; default: the cores divided by the ranks.
        gpus: How many.
        memory: Bytes, or a text such as ``"8 GiB"``. It is counted, so that tasks which fit side by side run side by
            side; nothing stops a program that takes more.
        shared: Whether the task takes no slots, and runs beside others on whatever there is: for programs that wait
            more than they compute.

    Raises:
        TaskDeclarationError: The numbers do not fit together.
    """

    cores: Count | None = None
    ranks: int = 1
    threads: int | None = None
    gpus: Count = 0
    memory: int | str = 0
    shared: bool = False

    def __post_init__(self) -> None:
        for name, least, others in (
            ("cores", 1, (None, "all")),
            ("ranks", 1, ()),
            ("threads", 1, (None,)),
            ("gpus", 0, ("all",)),
        ):
            value: Any = getattr(self, name)
            if value not in others and (isinstance(value, bool) or not isinstance(value, int)):
                also = " or 'all'" if "all" in others else ""
                raise TaskDeclarationError(f"{name} must be a whole number{also}, and is {value!r}")
            if isinstance(value, int) and value < least:
                raise TaskDeclarationError(f"{name} must be at least {least}, and is {value}")
        needed = self.ranks * (self.threads or 1)
        if isinstance(self.cores, int) and self.cores < needed:
            raise TaskDeclarationError(
                f"{self.ranks} ranks with {self.threads or 1} threads each need {needed} cores, "
                f"and {self.cores} are asked for"
            )
        if self.memory_bytes < 0:
            raise TaskDeclarationError(f"memory must not be negative, and is {self.memory}")

    @property
    def memory_bytes(self) -> int:
        """The memory as a number.

        Raises:
            TaskDeclarationError: It is no size.
        """
        try:
            return int(Size.parse(self.memory) if isinstance(self.memory, str) else self.memory)
        except ValueError as error:
            raise TaskDeclarationError(f"memory is {self.memory!r}: {error}") from error

    def cores_of(self, total: int) -> int:
        """Give the number of cores, on a host that has so many."""
        if self.cores == "all":
            return total
        return self.cores or self.ranks * (self.threads or 1)

    def gpus_of(self, total: int) -> int:
        """Give the number of GPUs, on a host that has so many."""
        return total if self.gpus == "all" else self.gpus


@dataclass(frozen=True)
class Allotment:
    """What a task has got for one attempt.

    Args:
        cores: The numbers of its cores, as the system counts them; empty: none are its own.
        count: How many cores it is to use.
        ranks: MPI processes.
        threads: Of each rank.
        gpus: The names of its GPUs.
        memory: Bytes.
        shared: Whether it runs beside others.
    """

    cores: tuple[int, ...]
    count: int
    ranks: int
    threads: int
    gpus: tuple[str, ...] = ()
    memory: int = 0
    shared: bool = False

    def words(self) -> dict[str, int]:
        """Give what a command may name in braces."""
        return {
            "cores": self.count,
            "ranks": self.ranks,
            "threads": self.threads,
            "gpus": len(self.gpus),
            "memory": self.memory,
        }

    def environment(self) -> dict[str, str]:
        """Give the variables by which programs and libraries learn what is theirs."""
        found = dict.fromkeys(_THREADS, str(self.threads))
        if not self.shared:
            found.update(dict.fromkeys(_GPUS, ",".join(self.gpus)))
        return found

    def as_record(self) -> dict[str, Any]:
        """Give what the folder's record tells."""
        return {
            "cores": list(self.cores),
            "ranks": self.ranks,
            "threads": self.threads,
            "gpus": list(self.gpus),
            "memory": self.memory,
        }
