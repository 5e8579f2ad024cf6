"""The package that travels: the same content each time, and enough of it for a bare Python."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from simmate_remote.keeper.package import own_package, read_package


def test_the_package_is_the_same_each_time_and_leaves_out_what_stays_here() -> None:
    package = own_package()
    assert read_package() == package
    names = zipfile.ZipFile(io.BytesIO(package.zipped())).namelist()
    assert "simmate_remote/keeper/host/program.py" in names
    assert not [name for name in names if name.startswith(("simmate_remote/cli/", "simmate_remote/testing/"))]


@pytest.mark.parametrize(
    ("module", "part"), [("simmate_remote.files.host.program", 0.12), ("simmate_remote.doctor.host.program", 0.5)]
)
def test_errands_run_on_a_part_of_it(user_folders: Path, module: str, part: float) -> None:
    """All that is named anywhere in what travels is there, imported at once or only later."""
    package = own_package()
    content = package.zipped_for_errand(module)
    assert len(content) < len(package.zipped()) * part
    (user_folders / "package.zip").write_bytes(content)
    names = [name.removesuffix(".py").replace("/", ".") for name in zipfile.ZipFile(io.BytesIO(content)).namelist()]
    assert module in names
    code = (
        f"import sys; sys.path.append({str(user_folders / 'package.zip')!r}); import ast, importlib, pkgutil\n"
        f"for name in {names!r}:\n"
        "    name = name.removesuffix('.__init__')\n"
        "    importlib.import_module(name)\n"
        "    if '.host' not in name: continue\n"
        "    source = importlib.util.find_spec(name).loader.get_source(name)\n"
        "    for node in ast.walk(ast.parse(source)):\n"
        "        if isinstance(node, ast.ImportFrom) and node.module.startswith('simmate_remote'):\n"
        "            importlib.import_module(node.module)\n"
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
