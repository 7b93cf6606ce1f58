"""What is asked before anything is installed; ``tests/slicer/test_installation.py`` lets pip do the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import edgeflow_med
from edgeflow_med import requirements

ROOT = Path(edgeflow_med.__file__).resolve().parents[1]


def test_it_needs_nothing_but_the_standard_library() -> None:
    asked = "from edgeflow_med import requirements\nprint(requirements.report([])[1])"
    code = f"import sys\nsys.path[:0] = [{str(ROOT)!r}]\n{asked}"
    command = [sys.executable, "-I", "-S", "-c", code]  # without site-packages
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "All packages that it needs are there."


def test_the_requirements_are_those_of_the_project() -> None:
    assert requirements.project_file().samefile(ROOT / "pyproject.toml")


def test_what_is_installed_is_known_by_small_letters() -> None:
    assert requirements.installed()["simpleitk"]


@pytest.mark.parametrize(
    ("name", "offline", "told"),
    [
        ("torch", False, ["Install the extension PyTorch in the Extensions Manager, or choose a folder of wheels."]),
        ("torch", True, []),
        ("monai", False, []),
        (
            "SimpleITK",
            True,
            ["This Slicer brings too old a version of simpleitk: please use Slicer 5.12 or newer."],
        ),
    ],
)
def test_what_pip_cannot_mend(tmp_path: Path, name: str, offline: bool, told: list[str]) -> None:
    lacking = [Requirement(f"{name}>=99")]
    assert requirements.obstacles(lacking, tmp_path if offline else None) == told
    assert requirements.report(lacking)[1] == f"Missing packages: {name}>=99"


def test_the_question_says_how_many_and_where_from(tmp_path: Path) -> None:
    lacking = [Requirement("monai"), Requirement("torch")]
    assert "needs 2 more Python packages. Install them from the Internet" in requirements.question(lacking)
    assert f"Install them {tmp_path}?" in requirements.question(lacking, tmp_path)
    assert requirements.question(lacking, tr=lambda _: "{count}/{source}").startswith("2/")
