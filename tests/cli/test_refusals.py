"""What cannot be done is refused in one line with status 2, before the network runs, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeflow_med.io import read_volume, save
from edgeflow_med.segmentation import Segment, Segmentation
from tests.cli.conftest import Ran, Run
from tests.cli.scans import CENTRE, ball

CLICK = ("--click", ",".join(str(v) for v in CENTRE))


def refused(ran: Ran, said: str) -> None:
    assert ran.status == 2, ran.out
    assert len(ran.err.splitlines()) == 1, ran.err
    assert ran.err.startswith("edgeflow-med: ")
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert "quality" not in ran.out, "the network ran first"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing command"),
        (["segmnt"], "segmnt"),
        (["segment"], "Missing"),
        (["segment", "SERIES", "--foo"], "No such option: --foo"),
        (["segment", "SERIES", *CLICK], "'--output'"),
        (["segment", "SERIES", "--output", "a.nii"], "No prompts were given"),
        (["segment", "SERIES", *CLICK, "--prompts", "p.json", "--output", "a.nii"], "both given"),
        (["segment", "SERIES", "--prompts", "p.json", "--label", "x", "--output", "a.nii"], "--label"),
        (["segment", "SERIES", "--prompts", "missing.json", "--output", "a.nii"], "missing.json"),
        (["segment", "SERIES", "--click", "1,2", "--output", "a.nii"], "Click '1,2' is not K,J,I"),
        (["segment", "SERIES", "--click", "1,2,x", "--output", "a.nii"], "is not K,J,I"),
        (["segment", "SERIES", "--click", "1,2,3,pos", "--output", "a.nii"], "is not K,J,I"),
        (["segment", "SERIES", "--click", "8,22,500", "--output", "a.nii"], "(8, 22, 500) lies outside"),
        (["segment", "SERIES", "--click", "-1,22,50", "--output", "a.nii"], "lies outside"),
        (["segment", "SERIES", *CLICK, "--output", "a.png"], "unknown suffix"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--report", "r.txt"], "--report writes .json"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--picture", "p.jpg"], "--picture writes .png"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--output", "./a.nii"], "twice"),
        (["segment", "SERIES", *CLICK, "--output", "."], "Cannot write"),
        (["segment", "SERIES", *CLICK, "--output", "file/a.nii"], "Cannot write"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--model", "gpt"], "Unknown model 'gpt'"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--plane", "diagonal"], "'diagonal' is not one of"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--modality", "US"], "'US' is not one of"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--window", "wide"], "Unknown window 'wide'"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--range", "3"], "give --propagate"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--no-lesion"], "give --propagate"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--propagate", "--range", "0"], "--range"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--series", "1.2.3"], "no series 1.2.3"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--label", ""], "1 to 64 characters"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--label", "x" * 65], "1 to 64 characters"),
        (["segment", "SERIES", *CLICK, "--output", "a.nii", "--initial-mask", "none.nii"], "none.nii does not exist"),
        (["segment", "nowhere", *CLICK, "--output", "a.nii"], "nowhere does not exist"),
        (["segment", "empty", *CLICK, "--output", "a.nii"], "No DICOM image"),
        (["info", "nowhere"], "nowhere does not exist"),
        (["info", "empty"], "No DICOM image"),
        (["info", "file"], "file is not DICOM"),
        (["demo", "--sample", "brain"], "Unknown sample 'brain'"),
        (["doctor", "--fast"], "No such option"),
    ],
)
def test_refusal(
    run: Run,
    series: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no image")
    (tmp_path / "p.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    refused(run(*(str(series) if argument == "SERIES" else argument for argument in arguments)), said)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "document",
    [
        "not json",
        "[]",
        json.dumps({"version": 1, "segments": []}),
        json.dumps({"version": 1, "segments": [{"label": "Lesion", "prompts": []}]}),
        json.dumps({"version": 2, "segments": [{"label": "L", "prompts": [{"type": "click", "index": [1, 2, 3]}]}]}),
    ],
)
def test_prompts_file_that_is_none(run: Run, series: Path, tmp_path: Path, document: str) -> None:
    file = tmp_path / "prompts.json"
    file.write_text(document, "utf-8")
    refused(run("segment", series, "--prompts", file, "--output", tmp_path / "a.nii"), "prompts.json")


def test_old_files_stay_when_the_new_ones_cannot_be_made(run: Run, series: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.nii.gz"
    old.write_bytes(b"something dear")
    ran = run("segment", series, "--click", "8,22,50,neg", "--output", old, "--report", tmp_path / "r.json")
    assert ran.status == 2
    assert "came out empty" in ran.err
    assert old.read_bytes() == b"something dear"
    assert list(tmp_path.iterdir()) == [old]


def replaced(source: Callable[[Path], Path], run: Run, series: Path) -> None:
    kept = source(series)
    before = kept.read_bytes()
    refused(run("segment", series, *CLICK, "--output", kept), "it would replace what was read")
    assert kept.read_bytes() == before


def test_a_slice_of_the_scan_is_never_replaced(run: Run, series: Path) -> None:
    replaced(lambda folder: sorted(folder.iterdir())[3], run, series)


def test_the_prompts_file_is_never_replaced(run: Run, series: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    prompt = {"type": "click", "index": list(CENTRE)}
    file.write_text(json.dumps({"version": 1, "segments": [{"label": "L", "prompts": [prompt]}]}))
    before = file.read_text()
    options = ("--prompts", file, "--output", tmp_path / "a.nii", "--report", file)
    refused(run("segment", series, *options), "it would replace what was read")
    assert file.read_text() == before


def test_a_dicom_seg_of_a_nifti_is_refused_before_the_network_runs(run: Run, series: Path, tmp_path: Path) -> None:
    volume = read_volume(series)
    scan = tmp_path / "scan.nii.gz"  # a label map is an image too
    save(Segmentation(volume, (Segment(1, "Ball"),), (ball(),)), scan)
    refused(run("segment", scan, *CLICK, "--output", tmp_path / "a.dcm"), "must refer to a DICOM series")


def test_several_initial_segments_need_a_label(run: Run, series: Path, tmp_path: Path) -> None:
    volume = read_volume(series)
    masks = (ball(), np.roll(ball(), 30, axis=2) & ~ball())
    mask = tmp_path / "two.seg.nrrd"
    save(Segmentation(volume, (Segment(1, "Left"), Segment(2, "Right")), masks), mask)
    options = ("--initial-mask", mask, "--output", tmp_path / "a.nii")
    refused(run("segment", series, *CLICK, *options), "'Left', 'Right'")
    assert run("segment", series, *CLICK, *options, "--label", "Left").status == 0


def test_a_broken_program_says_so_in_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Path) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("edgeflow_med.cli.info.list_series", broken)
    refused(run("info", tmp_path), "internal error (RuntimeError: two lines); run again with EDGEFLOW_DEBUG=1")
    monkeypatch.setenv("EDGEFLOW_DEBUG", "1")
    with pytest.raises(RuntimeError, match="two"):
        run("info", tmp_path)
