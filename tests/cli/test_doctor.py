"""``doctor`` tells a whole installation from a broken one, and ``demo`` does the job on the packaged scan."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgeflow_med
from edgeflow_med.weights import DEFAULT_MODEL, find_bundle
from tests.cli.conftest import Run


def copy_of_the_package(folder: Path) -> Path:
    """The package without what travels with it."""
    source = Path(edgeflow_med.__file__).parent
    shutil.copytree(source, folder / "edgeflow_med", ignore=shutil.ignore_patterns("__pycache__", "_data"))
    return folder


def doctor(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "edgeflow_med", "doctor"]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_a_whole_installation(run: Run) -> None:
    ran = run("doctor")
    assert (ran.status, ran.err) == (0, "")
    assert re.search(rf"ok +Model +{DEFAULT_MODEL} .+ checksum verified", ran.out)
    assert re.search(r"ok +Answer +the model answered a slice in [\d.]+ s", ran.out)
    assert re.search(r"ok +Device +(cpu|cuda)", ran.out)
    assert re.search(r"ok +Sample +sts_003_ct", ran.out)


def test_without_weights(tmp_path: Path) -> None:
    ran = doctor(copy_of_the_package(tmp_path))
    assert ran.returncode == 2
    assert re.search(rf"missing +Model +Unknown model '{DEFAULT_MODEL}'", ran.stdout)
    (line,) = ran.stderr.splitlines()
    assert line.startswith("edgeflow-med: The main job cannot run here, missing: Model, Answer; run: ")
    assert "pip install" in line


def test_altered_weights(tmp_path: Path) -> None:
    copy_of_the_package(tmp_path)
    shutil.copytree(find_bundle(DEFAULT_MODEL).path, tmp_path / "weights" / DEFAULT_MODEL)
    metadata = tmp_path / "weights" / DEFAULT_MODEL / "configs" / "metadata.json"
    document = json.loads(metadata.read_text("utf-8"))
    document["edgeflow"]["sha256"] = "0" * 64
    metadata.write_text(json.dumps(document), "utf-8")
    ran = doctor(tmp_path)
    assert ran.returncode == 2
    assert "checksum differs: it was altered" in ran.stdout


@pytest.mark.slow
def test_demo(run: Run, tmp_path: Path) -> None:
    ran = run("demo", "--output-dir", tmp_path / "demo")
    assert (ran.status, ran.err) == (0, "")
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert names == {"lesion.dcm", "lesion.nii.gz", "lesion.png", "report.json"}
    agreement = json.loads((tmp_path / "demo" / "report.json").read_text("utf-8"))["dice_with_reference"]
    assert f"3-D Dice {agreement:.3f} with the expert's outline" in ran.out
    assert agreement > 0.5
