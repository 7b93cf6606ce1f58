"""Options of the files that are written."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from tests.cli.conftest import Run
from tests.cli.scans import CENTRE
from tests.cli.test_refusals import refused

CLICK = ("--click", ",".join(str(v) for v in CENTRE))


def test_all_that_can_be_asked_of_files(run: Run, series: Path, tmp_path: Path) -> None:
    seg, labels, report = tmp_path / "ball.dcm", tmp_path / "ball_dseg.nii.gz", tmp_path / "report.dcm"
    options = ("--seg-encoding", "deflated", "--bids", "--measurements", report, "--creator", "Doe^Jane")
    ran = run("segment", series, *CLICK, "--output", seg, "--output", labels, *options)
    assert (ran.status, ran.err) == (0, "")
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["ball.dcm", "ball_dseg.json", "ball_dseg.nii.gz", "ball_dseg.tsv", "report.dcm"]
    assert all(f"  {tmp_path / name}" in ran.out.splitlines() for name in written)
    dataset = dcmread(seg)
    assert dataset.file_meta.TransferSyntaxUID.is_deflated
    assert str(dataset.ContentCreatorName) == "Doe^Jane"
    assert dcmread(report).PatientID == dataset.PatientID


def test_a_deidentified_file_names_nobody(run: Run, series: Path, tmp_path: Path) -> None:
    patient = dcmread(next(series.iterdir())).PatientID
    ran = run("segment", series, *CLICK, "--output", tmp_path / "ball.dcm", "--deidentify")
    assert (ran.status, ran.err) == (0, "")
    assert patient.encode() not in (tmp_path / "ball.dcm").read_bytes()
    assert dcmread(tmp_path / "ball.dcm").PatientIdentityRemoved == "YES"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "a.nii", "--seg-encoding", "deflated"], "--seg-encoding is for .dcm files"),
        (["--output", "a.dcm", "--seg-encoding", "jpeg"], "'jpeg' is not one of"),
        (["--output", "a.nii", "--creator", "Doe^Jane"], "--creator is for .dcm files"),
        (["--output", "a.nii", "--measurements", "m.dcm"], "--measurements is for .dcm files"),
        (["--output", "a.dcm", "--measurements", "m.json"], "--measurements writes .dcm"),
        (["--output", "a.dcm", "--measurements", "a.dcm"], "twice"),
        (["--output", "a.dcm", "--bids"], "--bids is for .nii or .nii.gz files"),
        (["--output", "a.nii.gz", "--bids"], "give a_dseg.nii.gz"),
        (["--output", "a.seg.nrrd", "--separate"], "--separate is for .nii or .nii.gz files"),
    ],
    ids=lambda value: " ".join(value[2:]) if isinstance(value, list) else "",
)
def test_what_no_output_has_a_use_for_is_refused(
    arguments, said, run: Run, series: Path, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(run("segment", series, *CLICK, *arguments), said)
    assert list(tmp_path.iterdir()) == []
