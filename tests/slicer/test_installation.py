"""Packages come only when the reader agrees, torch by its extension and first, and nothing that is there is replaced.

A bare environment plays Slicer's Python, small wheels made here play the packages, and pip is the real one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DRIVER = """
import json, os, sys, types
sys.path.insert(0, os.environ["LIBRARY"])
import slicer_packaging
told = json.loads(sys.argv[1])
asked = []
def confirm(text, detailedText=None):
    asked.append(text + detailedText)
    return told["agree"]
slicer = types.ModuleType("slicer")
slicer.util = types.SimpleNamespace(confirmOkCancelDisplay=confirm)
slicer.packaging = slicer_packaging
i18n = types.ModuleType("slicer.i18n")
i18n.tr = lambda text: text
sys.modules.update({"slicer": slicer, "slicer.packaging": slicer_packaging, "slicer.i18n": i18n})
from EdgeFlowLib import installation
from edgeflow_med import requirements
from pathlib import Path
before = installation.report()
done = installation.install(Path(told["wheels"]) if told["wheels"] else None)
found = requirements.installed()
print(json.dumps({"done": done, "asked": asked, "before": before, "after": installation.report(), "found": found}))
"""


def wheel(folder: Path, name: str, version: str, *requires: str) -> Path:
    """A wheel of one empty module."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    lines = [f"Requires-Dist: {line}" for line in requires]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(
            f"{info}/METADATA", "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines])
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


class Python:
    """Slicer's Python, with numpy 2.0, and a library that needs numpy, torch and monai."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.wheels = folder, folder / "wheels"
        venv.create(folder / "python", with_pip=False)
        self.python = next(
            path for path in (folder / "python/bin/python", folder / "python/Scripts/python.exe") if path.exists()
        )
        self.library = folder / "library"
        (self.library / "edgeflow_med").mkdir(parents=True)
        (self.library / "edgeflow_med/__init__.py").write_text("__version__ = '1.0'", "utf-8")
        shutil.copy(ROOT / "edgeflow_med/requirements.py", self.library / "edgeflow_med")
        self.needs("numpy>=1.26", "torch>=2.8", "monai>=1.5")
        shutil.copytree(Path(importlib.util.find_spec("packaging").origin).parent, self.library / "packaging")
        shutil.copy(ROOT / "tests/slicer/slicer_packaging.py", self.library)
        shutil.copytree(ROOT / "slicer_module/EdgeFlowLib", self.library / "EdgeFlowLib")
        self.packages = next((folder / "python").rglob("site-packages"))
        self.unpack(wheel(folder / "bundled", "numpy", "2.0"))

    def needs(self, *lines: str) -> None:
        """Say what the library requires."""
        text = f"[project]\nname = 'edgeflow-med'\nversion = '1'\ndependencies = {list(lines)}"
        (self.library / "pyproject.toml").write_text(text, "utf-8")

    def unpack(self, made: Path) -> None:
        """Put a wheel in its place."""
        with zipfile.ZipFile(made) as archive:
            archive.extractall(self.packages)

    def torch_extension(self) -> None:
        """The extension PyTorch: it installs torch 2.9 for this machine's GPU."""
        made = wheel(self.folder / "cuda", "torch", "2.9+cu128")
        code = f"""
            import pathlib, zipfile
            class PyTorchUtilsLogic:
                def installTorch(self, torchVersionRequirement):
                    pathlib.Path({str(self.folder / "torch_bounds")!r}).write_text(torchVersionRequirement)
                    zipfile.ZipFile({str(made)!r}).extractall({str(self.packages)!r})
        """
        (self.library / "PyTorchUtils.py").write_text(textwrap.dedent(code), "utf-8")

    def install(self, *, agree: bool = True, wheels: bool = True) -> dict:
        """Run ``installation.install`` in it."""
        told = json.dumps({"agree": agree, "wheels": str(self.wheels) if wheels else ""})
        variables = {
            "LIBRARY": str(self.library),
            "PIP_OF": sys.executable,
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_NO_INDEX": "1",
        }
        command = [str(self.python), "-c", DRIVER, told]
        done = subprocess.run(
            command, env={**os.environ, **variables}, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def python(tmp_path: Path) -> Python:
    made = Python(tmp_path)
    for version in ("2.7", "2.10"):
        wheel(made.wheels, "torch", version)
    wheel(made.wheels, "numpy", "2.1")
    wheel(made.wheels, "monai", "1.5", "torch>=2.8", "numpy>=1.24")
    return made


def test_nothing_happens_when_the_reader_declines(python: Python) -> None:
    told = python.install(agree=False)
    assert not told["done"]
    assert len(told["asked"]) == 1
    assert "torch>=2.8\nmonai>=1.5" in told["asked"][0]
    assert set(told["found"]) == {"numpy"}
    assert told["after"][1] == "Missing packages: torch>=2.8, monai>=1.5"


def test_a_folder_of_wheels_is_enough(python: Python) -> None:
    told = python.install()
    assert told["done"]
    assert str(python.wheels) in told["asked"][0]
    assert told["found"] == {"numpy": "2.0", "torch": "2.10", "monai": "1.5"}
    assert told["after"][1] == "All packages that it needs are there."


def test_torch_comes_first_and_through_its_extension(python: Python) -> None:
    python.torch_extension()
    told = python.install(wheels=False)
    assert told["done"]
    assert (python.folder / "torch_bounds").read_text() == ">=2.8"
    assert told["found"]["torch"] == "2.9+cu128"  # although the registry has a newer one
    assert "Internet" in told["asked"][0]


def test_without_the_torch_extension_nobody_is_asked(python: Python) -> None:
    told = python.install(wheels=False)
    assert not told["done"]
    assert told["asked"] == []
    assert "extension PyTorch" in told["before"][2]


def test_an_older_monai_is_taken_before_numpy_is_replaced(python: Python) -> None:
    wheel(python.wheels, "monai", "1.6", "torch>=2.8", "numpy>=2.1")
    assert python.install()["found"] == {"numpy": "2.0", "torch": "2.10", "monai": "1.5"}


def test_what_slicer_brings_is_not_replaced_even_if_installing_fails(python: Python) -> None:
    wheel(python.wheels, "monai", "1.5", "torch>=2.8", "numpy>=2.1")
    told = python.install()
    assert not told["done"]
    assert told["found"] == {"numpy": "2.0"}


def test_too_old_a_slicer_is_told_not_mended(python: Python) -> None:
    python.needs("numpy>=2.1")
    told = python.install()
    assert not told["done"]
    assert told["asked"] == []
    assert told["before"][2] == "This Slicer brings too old a version of numpy: please use Slicer 5.12 or newer."
    assert told["found"]["numpy"] == "2.0"
