"""The Slicer extension configures, ships every file that it names, and carries a library that finds its own files.

Slicer itself is not needed: ``stub/`` holds macros that check and install as Slicer's do.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import cmake
import pytest

ROOT = Path(__file__).resolve().parents[2]
CMAKE = str(Path(cmake.CMAKE_BIN_DIR) / "cmake")
MODULES = "lib/Slicer-5.12/qt-scripted-modules"


def configure(source: Path, build: Path) -> subprocess.CompletedProcess[str]:
    # Nothing is compiled, so any program passes for the compiler and machines without one can run this test.
    compilers = [f"-D{key}={CMAKE}" for key in ("CMAKE_C_COMPILER", "CMAKE_CXX_COMPILER")]
    forced = ["-DCMAKE_C_COMPILER_FORCED=ON", "-DCMAKE_CXX_COMPILER_FORCED=ON"]
    stub = f"-DSlicer_DIR={Path(__file__).parent / 'stub'}"
    command = [CMAKE, "-S", str(source), "-B", str(build), stub, *compilers, *forced]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_installed_extension_is_complete(tmp_path: Path) -> None:
    done = configure(ROOT, tmp_path / "build")
    assert done.returncode == 0, done.stderr
    subprocess.run([CMAKE, "--install", tmp_path / "build", "--prefix", tmp_path / "installed"], check=True)
    modules = tmp_path / "installed" / MODULES

    assert [path.name for path in modules.glob("*.py")] == ["EdgeFlow.py"]
    assert (modules / "Resources/Icons/EdgeFlow.png").is_file()
    code = (
        f"import sys; sys.path[:0] = [{str(modules)!r}]\n"
        "from EdgeFlowLib.installation import report; print(report()[0])\n"
        "from edgeflow_med.resources import resource\n"
        "print(resource('weights')); print(resource('sample_data'))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    first, weights, sample = told.stdout.splitlines()
    assert first.startswith("edgeflow_med ")
    assert first.endswith(str(modules / "edgeflow_med"))
    assert (Path(weights) / "edgeflow_w18/model.safetensors").is_file()
    assert any(Path(sample).glob("sts_003_ct/series/*.dcm"))
    assert Path(weights).is_relative_to(modules)


@pytest.mark.parametrize("missing", ["EdgeFlowLib/installation.py", "Resources/Icons/EdgeFlow.png"])
def test_configuring_fails_when_a_named_file_is_missing(tmp_path: Path, missing: str) -> None:
    source = tmp_path / "source"
    for folder in ("slicer_module", "edgeflow_med"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("CMakeLists.txt", "LICENSE", "README.md"):
        shutil.copy(ROOT / file, source / file)
    for folder in ("weights/edgeflow_w18", "sample_data"):
        (source / folder).mkdir(parents=True)
    assert configure(source, tmp_path / "good").returncode == 0

    (source / "slicer_module" / missing).unlink()
    done = configure(source, tmp_path / "bad")
    assert done.returncode != 0
    assert Path(missing).name in done.stderr
