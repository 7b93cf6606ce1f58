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

from edgeflow_med.weights import DEFAULT_MODEL

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


def packed(folder: Path) -> set[str]:
    """Files under a folder, as relative paths."""
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(folder).as_posix() for path in files}


def test_installed_extension_is_complete(tmp_path: Path) -> None:
    done = configure(ROOT, tmp_path / "build")
    assert done.returncode == 0, done.stderr
    subprocess.run([CMAKE, "--install", tmp_path / "build", "--prefix", tmp_path / "installed"], check=True)
    modules = tmp_path / "installed" / MODULES

    assert [path.name for path in modules.glob("*.py")] == ["EdgeFlow.py"]
    for folder in ("EdgeFlowLib", "Resources"):
        assert packed(modules / folder) == packed(ROOT / "slicer_module" / folder)
    assert packed(modules / "edgeflow_med") - {"_data"} >= packed(ROOT / "edgeflow_med") - {"CMakeLists.txt"}
    assert (modules / "edgeflow_med/_data/pyproject.toml").read_bytes() == (ROOT / "pyproject.toml").read_bytes()
    code = (
        f"import sys; sys.path[:0] = [{str(modules)!r}]\n"
        "from edgeflow_med.resources import resource\n"
        "print(resource('weights')); print(resource('sample_data'))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    weights, sample = told.stdout.splitlines()
    assert packed(Path(weights)) == packed(ROOT / "weights")
    assert (Path(weights) / DEFAULT_MODEL / "model.safetensors").is_file()
    assert any(Path(sample).glob("sts_003_ct/series/*.dcm"))
    assert Path(weights).is_relative_to(modules)


def copy(source: Path) -> None:
    """What the build reads, with little data."""
    for folder in ("slicer_module", "edgeflow_med"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / file, source / file)
    for folder in (f"weights/{DEFAULT_MODEL}", "sample_data"):
        (source / folder).mkdir(parents=True)


@pytest.mark.parametrize("missing", ["slicer_module/EdgeFlow.py", "pyproject.toml", "weights", "LICENSE"])
def test_configuring_fails_when_a_named_file_is_missing(tmp_path: Path, missing: str) -> None:
    source = tmp_path / "source"
    copy(source)
    assert configure(source, tmp_path / "good").returncode == 0

    (source / missing).rename(tmp_path / "gone")
    done = configure(source, tmp_path / "bad")
    assert done.returncode != 0
    assert Path(missing).name in done.stderr
