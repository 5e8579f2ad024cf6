"""custodian's own handlers, unmodified, on programs that print what VASP, NWChem, Q-Chem and FEFF print.

The programs are scripts that read the input as the real ones do, and fail as long as it is not mended. What they print
was written for these tests after the programs' manuals: the lines that handlers look for, and some around them.
"""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from simmate_remote.errors import UncorrectableError, ValidationFailedError
from simmate_remote.workflows.shell import Resources, ShellTask

with warnings.catch_warnings():
    # What these packages import is not ours to mend.
    warnings.simplefilter("ignore")
    from custodian.custodian import ErrorHandler, Validator
    from custodian.feff.handlers import UnconvergedErrorHandler
    from custodian.nwchem.handlers import NwchemErrorHandler
    from custodian.qchem.handlers import QChemErrorHandler
    from custodian.vasp.handlers import StdErrHandler, VaspErrorHandler
    from custodian.vasp.validators import VaspFilesValidator
    from pymatgen.core import Lattice, Structure
    from pymatgen.io.feff.sets import MPXANESSet

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::EncodingWarning"),
]

INCAR = "ALGO = Normal\nENCUT = 400\nLREAL = Auto\nKPAR = 4\nISMEAR = 0\n"
POSCAR = "Si2\n1.0\n0.0 2.7 2.7\n2.7 0.0 2.7\n2.7 2.7 0.0\nSi\n2\ndirect\n0 0 0 Si\n0.25 0.25 0.25 Si\n"

VASP = """
echo " running on    4 total cores"
echo " POSCAR found :  1 types and       2 ions"
if grep -q 'KPAR *= *4' INCAR; then
  echo " entering main loop"
  echo "1 Allocation would exceed memory limit (allocatable array, 8.1 GB)" >&2
  sleep 30
fi
if ! grep -q 'PREC *= *Accurate' INCAR; then
  echo " WARNING: Sub-Space-Matrix is not hermitian in DAV            4"
  exit 0
fi
echo " reached required accuracy - stopping structural energy minimisation"
touch CONTCAR OSZICAR OUTCAR
"""


class Vasp(ShellTask[str]):
    command = ("sh", "vasp.sh")
    stdout = "vasp.out"
    stderr = "std_err.txt"
    handlers = (VaspErrorHandler(), StdErrHandler())
    validators = (VaspFilesValidator(),)

    def setup(self, folder: Path, program: str = VASP) -> None:
        (folder / "INCAR").write_text(INCAR)
        (folder / "POSCAR").write_text(POSCAR)
        (folder / "KPOINTS").write_text("k\n0\nGamma\n4 4 4\n")
        (folder / "vasp.sh").write_text(program)

    def workup(self, folder: Path) -> str:
        return (folder / "INCAR").read_text()


def test_monitors_and_handlers_for_vasp(tmp_path: Path) -> None:
    outcome = Vasp().perform({}, tmp_path / "a")
    assert [one.handler for one in outcome.corrections] == ["StdErrHandler", *["VaspErrorHandler"] * 2]
    assert outcome.corrections[0].seen == ("out_of_memory",)
    assert "+KPAR = 2" in outcome.corrections[0].difference
    assert outcome.corrections[1].seen == ("subspacematrix",)
    # What it does the second time, it knows by what it remembers of the first.
    assert "-LREAL = Auto" in outcome.corrections[1].difference
    assert "+PREC = Accurate" in outcome.corrections[2].difference
    assert outcome.attempts == 4
    assert outcome.in_program < 10


def test_a_validator_for_vasp(tmp_path: Path) -> None:
    with pytest.raises(ValidationFailedError, match="VaspFilesValidator"):
        Vasp().run(tmp_path / "a", program="echo fine")


NWCHEM = """
cat <<'end'
          Northwest Computational Chemistry Package (NWChem) 7.0.2
    hostname        = node1
    program         = nwchem
    input           = mol.nw
    prefix          = mol.
                                NWChem Input Module
                                NWChem DFT Module
   convergence    iter        energy       DeltaE   RMS-Dens  Diis-err    time
   d= 0,ls=0.0,diis    30    -76.0107465155 -1.1D+01  5.1D-02  2.2D-01     0.3
end
if ! grep -q cgmin mol.nw; then echo "  Calculation failed to converge"; exit 1; fi
echo "         Total DFT energy =      -76.419737926971"
"""

NWCHEM_INPUT = """start mol
title "water"
charge 0
geometry units angstroms
 O 0.0 0.0 0.1
 H 0.0 0.8 -0.4
 H 0.0 -0.8 -0.4
end

title "water"
charge 0
basis cartesian
 H library "6-31g"
 O library "6-31g"
end
dft
 xc b3lyp
end
task dft energy
"""


class Nwchem(ShellTask[float]):
    command = ("sh", "nwchem.sh")
    stdout = "mol.nwout"
    handlers = (NwchemErrorHandler(),)

    def setup(self, folder: Path) -> None:
        (folder / "mol.nw").write_text(NWCHEM_INPUT)
        (folder / "nwchem.sh").write_text(NWCHEM)

    def workup(self, folder: Path) -> float:
        return float((folder / "mol.nwout").read_text().split("Total DFT energy =")[1])


def test_a_handler_for_nwchem(tmp_path: Path) -> None:
    outcome = Nwchem().perform({}, tmp_path / "a")
    assert outcome.data == pytest.approx(-76.4197)
    assert [(one.handler, one.seen) for one in outcome.corrections] == [("NwchemErrorHandler", ("Bad convergence",))]
    assert "+ cgmin" in outcome.corrections[0].difference


QCHEM = """
cat <<'end'
 A Quantum Leap Into The Future Of Chemistry
 Q-Chem 5.4, Q-Chem, Inc., Pleasanton, CA
User input:
--------------------------------------------------------------
end
cat mol.qin
cat <<'end'
--------------------------------------------------------------
 ----------------------------------------------------------------
             Standard Nuclear Orientation (Angstroms)
    I     Atom           X                Y                Z
 ----------------------------------------------------------------
    1      H       0.0000000000     0.0000000000    -0.3700000000
    2      H       0.0000000000     0.0000000000     0.3700000000
 ----------------------------------------------------------------
 Molecular Point Group                 D*h   NOp =  8
 Nuclear Repulsion Energy =          0.71510433 hartrees
 There are        1 alpha and        1 beta electrons
 A restricted SCF calculation will be
 performed using DIIS
 SCF converges when DIIS error is below 1.0e-08
---------------------------------------
 Cycle       Energy         DIIS error
---------------------------------------
    1      -1.0953728153      1.15e-01
    2      -1.1166843869      1.05e-02
end
if ! grep -qi 'max_scf_cycles *= *100' mol.qin; then echo " SCF failed to converge"; exit 1; fi
cat <<'end'
    3      -1.1167593073      1.00e-09  Convergence criterion met
---------------------------------------
 SCF   energy in the final basis set =       -1.1167593073
 Total energy in the final basis set =       -1.1167593073
        *  Thank you very much for using Q-Chem.  Have a nice day.  *
end
"""

QCHEM_INPUT = """$molecule
 0 1
 H 0.0 0.0 -0.37
 H 0.0 0.0 0.37
$end

$rem
   job_type = sp
   basis = 6-31g
   method = hf
   max_scf_cycles = 50
$end
"""


class Qchem(ShellTask[str]):
    command = ("sh", "qchem.sh")
    stdout = "mol.qout"
    handlers = (QChemErrorHandler(),)

    def setup(self, folder: Path) -> None:
        (folder / "mol.qin").write_text(QCHEM_INPUT)
        (folder / "qchem.sh").write_text(QCHEM)


def test_a_handler_for_qchem_which_writes_its_copies_into_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    outcome = Qchem().perform({}, tmp_path / "a")
    assert [(one.handler, one.seen) for one in outcome.corrections] == [
        ("QChemErrorHandler", ("SCF_failed_to_converge",))
    ]
    assert "+   max_scf_cycles = 100" in outcome.corrections[0].difference
    assert (tmp_path / "a" / "error.1.tar.gz").is_file()
    assert not list(here.iterdir())


FEFF = """
mixing=$(sed -n 's/^SCF  *[^ ]*  *[^ ]*  *[^ ]*  *\\([^ ]*\\) .*/\\1/p' feff.inp)
cat > log1.dat <<'end'
    Calculating SCF potentials ...
      iterating to self-consistency
   mu= -5.321  dmu=  0.031
end
if [ "$mixing" != 0.1 ]; then echo "      Convergence not reached; ran out of iterations." >> log1.dat; exit 0; fi
echo "      Convergence reached in  23  iterations." >> log1.dat
printf '# omega e k mu mu0 chi\n 8979.2 -3.9 -1.2 1.4e-2 1.3e-2 0.1\n' > xmu.dat
"""


class Feff(ShellTask[int]):
    command = ("sh", "feff.sh")
    handlers = (UnconvergedErrorHandler(),)

    def setup(self, folder: Path) -> None:
        copper = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.61), ["Cu"], [[0, 0, 0]])
        MPXANESSet("Cu", copper, radius=4.0, user_tag_settings={"SCF": [4.5, 0, 30, 0.2, 1]}).write_input(str(folder))
        (folder / "feff.sh").write_text(FEFF)

    def workup(self, folder: Path) -> int:
        return len((folder / "xmu.dat").read_text().splitlines())


def test_a_handler_for_feff_which_ends_with_0_as_if_nothing_were_wrong(tmp_path: Path) -> None:
    outcome = Feff().perform({}, tmp_path / "a")
    assert outcome.data == 2
    assert [(one.handler, one.seen) for one in outcome.corrections] == [
        ("UnconvergedErrorHandler", ("Non-converging job",))
    ] * 2
    assert "+RESTART" in outcome.corrections[0].difference
    assert "+SCF 4.5 0 100 0.2 3" in outcome.corrections[0].difference
    assert "+SCF 4.5 0 100 0.1 3" in outcome.corrections[1].difference


class Grows(ErrorHandler):  # type: ignore[misc]
    """One of our own, with custodian's base class."""

    max_num_corrections = 3

    def check(self, directory: str = "./") -> bool:
        return Path(directory, "value.txt").read_text() != "3"

    def correct(self, directory: str = "./") -> dict[str, Any]:
        assert self.n_applied_corrections < 3
        path = Path(directory, "value.txt")
        path.write_text(str(int(path.read_text()) + 1))
        return {"errors": ["small"], "actions": [{"value": path.read_text()}]}


class Large(Validator):  # type: ignore[misc]
    def check(self, directory: str = "./") -> bool:
        return Path(directory, "value.txt").read_text() == "3"


class Value(ShellTask[None]):
    command = "true"
    handlers = (Grows(),)

    def setup(self, folder: Path, value: int = 0) -> None:
        (folder / "value.txt").write_text(str(value))


def test_classes_of_ones_own_on_custodians_bases(tmp_path: Path) -> None:
    outcome = Value().perform({}, tmp_path / "a")
    assert outcome.attempts == 4
    with pytest.raises(ValidationFailedError, match="Large"):
        Value(validators=(Large(),)).run(tmp_path / "b")


def test_many_tasks_with_stock_handlers_at_once(tmp_path: Path) -> None:
    done: list[int] = []
    task = Vasp(resources=Resources(shared=True))

    def perform(number: int) -> None:
        program = VASP.replace("sleep 30", "exit 1")
        done.append(task.perform({"program": program}, tmp_path / str(number)).attempts)

    threads = [threading.Thread(target=perform, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert done == [4] * 6


def test_a_stock_handler_that_knows_no_way(tmp_path: Path) -> None:
    class Lattice(Vasp):
        def setup(self, folder: Path, program: str = VASP) -> None:
            super().setup(folder, program)
            (folder / "INCAR").write_text("KPAR = 1\n")

    program = "echo 'Allocation would exceed memory limit' >&2; sleep 5"
    with pytest.raises(UncorrectableError, match="StdErrHandler knows no way to mend what it sees: out_of_memory"):
        Lattice().run(tmp_path / "a", program=program)
