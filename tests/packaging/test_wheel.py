"""The wheel carries all that it needs: installed alone in a fresh environment, it segments its own sample."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout with the build tools of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of programs of a fresh environment that holds the wheel.

    Requirements come from this environment through a path file, so that torch is not downloaded again. The package does
    not: path files of a folder that is added in this way, such as the one of an editable installation, are not read.
    """
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, symlinks=os.name != "nt")
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = programs / Path(sys.executable).name
    subprocess.run([*PIP, "--python", str(python), "install", "--no-deps", str(wheel)], check=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    reused = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (Path(packages) / "reused.pth").write_text("\n".join(reused) + "\n", "utf-8")
    return programs


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_wheel_holds_the_package_its_weights_and_its_samples(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for wanted in (
        "edgeflow_med/py.typed",
        "edgeflow_med/prompts.schema.json",
        "edgeflow_med/_data/weights/edgeflow_w18/model.safetensors",
        "edgeflow_med/_data/weights/edgeflow_w18/configs/metadata.json",
        "edgeflow_med/_data/sample_data/sts_003_ct.clicks.json",
        "edgeflow_med/_data/sample_data/README.md",
    ):
        assert wanted in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"edgeflow_med"}
    assert any(name.endswith(".dist-info/licenses/NOTICE") for name in names)
    assert not [name for name in names if name.endswith(("CMakeLists.txt", ".pyc", ".log"))]


def test_installed_wheel_is_used_not_the_checkout(scripts: Path, tmp_path: Path) -> None:
    code = "from edgeflow_med import __file__, resources; print(__file__); print(resources.resource('weights'))"
    told = run(scripts / Path(sys.executable).name, "-c", code, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    for line in told.stdout.splitlines():
        assert Path(line).is_relative_to(scripts.parent.resolve()), line


def test_demo_runs_from_the_wheel_alone(scripts: Path, tmp_path: Path) -> None:
    told = run(scripts / "edgeflow-med", "demo", cwd=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    written = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert {".dcm", ".json", ".png"} <= written, written
