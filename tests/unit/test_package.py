"""The package that travels: the same content each time, and enough of it for a bare Python."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from simmate_remote.keeper.package import own_package, read_package


def test_the_package_is_the_same_each_time_and_leaves_out_what_stays_here() -> None:
    package = own_package()
    assert read_package() == package
    names = zipfile.ZipFile(io.BytesIO(package.zipped())).namelist()
    assert "simmate_remote/keeper/host/program.py" in names
    assert not [name for name in names if name.startswith(("simmate_remote/cli/", "simmate_remote/testing/"))]


def test_errands_run_on_a_part_of_it(user_folders: Path) -> None:
    package = own_package()
    content = package.zipped_for_errands()
    assert len(content) < len(package.zipped()) / 2
    (user_folders / "package.zip").write_bytes(content)
    code = (
        f"import sys; sys.path.append({str(user_folders / 'package.zip')!r}); "
        "import simmate_remote.files.host.program, simmate_remote.doctor.host.program"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_keeper_runs_on_the_standard_library_alone(user_folders: Path) -> None:
    zipfile.ZipFile(io.BytesIO(own_package().zipped())).extractall(user_folders)
    code = (
        f"import sys; sys.path.append({str(user_folders)!r}); import simmate_remote.keeper.host.program, "
        "simmate_remote.keeper.host.guardian, simmate_remote.keeper.host.attach, simmate_remote.keeper.host.bootstrap"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
