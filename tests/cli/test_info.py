"""What ``info`` says of a path, to people and to programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from edgeflow_med import __version__
from edgeflow_med.io import read_volume
from tests.cli.conftest import Run
from tests.cli.scans import BALL
from tests.phantoms import write_series


def test_json_is_what_reading_gives(run: Run, series: Path) -> None:
    ran = run("info", series, "--json")
    (entry,) = json.loads(ran.out)
    volume = read_volume(series)
    assert entry["shape"] == list(volume.shape)
    assert entry["modality"] == "CT"
    assert entry["orientation"] == "SPL"
    assert entry["name"] == volume.headers[0].SeriesInstanceUID
    np.testing.assert_allclose(entry["affine"], volume.affine)
    assert entry["warnings"] == []
    assert entry["error"] == ""


def test_every_series_of_a_folder_is_listed(run: Run, tmp_path: Path) -> None:
    write_series(tmp_path / "one", BALL)
    write_series(tmp_path / "two", BALL, lambda dataset, _: setattr(dataset, "Modality", "MR"))
    assert sorted(entry["modality"] for entry in json.loads(run("info", tmp_path, "--json").out)) == ["CT", "MR"]
    assert run("info", tmp_path).out.count("16 x 48 x 96 voxels") == 2


def test_a_series_that_cannot_be_read_says_why(run: Run, tmp_path: Path) -> None:
    write_series(tmp_path, BALL)
    (tmp_path / "slice004.dcm").unlink()
    ran = run("info", tmp_path)
    assert ran.status == 0
    assert "Unreadable" in ran.out
    (entry,) = json.loads(run("info", tmp_path, "--json").out)
    assert entry["error"] in ran.out


def test_it_needs_no_torch(series: Path) -> None:
    code = "import sys; from edgeflow_med.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, "info", str(series)], check=False).returncode == 0


def test_version(run: Run) -> None:
    ran = run("--version")
    assert (ran.status, ran.out) == (0, f"edgeflow-med {__version__}\n")


def test_help_names_every_command(run: Run) -> None:
    ran = run("--help")
    assert ran.status == 0
    assert all(f"  {command} " in ran.out for command in ("segment", "info", "demo", "doctor"))
