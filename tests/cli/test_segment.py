"""The main job on a ball: what it prints, what it writes, and what it keeps to itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow_med.io import read_segmentation, read_volume
from edgeflow_med.metrics import dice
from edgeflow_med.prompts import parse_prompts
from tests.cli.conftest import Job, Run
from tests.cli.scans import BALL, CENTRE, ball

CLICK = ",".join(str(v) for v in CENTRE)


def test_it_succeeds_without_a_word_on_stderr(job: Job) -> None:
    assert (job.ran.status, job.ran.err) == (0, "")


def test_all_files_hold_the_same_mask_and_it_is_the_ball(job: Job, series: Path) -> None:
    volume = read_volume(series)
    masks = [
        read_segmentation(job.folder / name, volume).masks for name in ("ball.dcm", "ball.nii.gz", "ball.seg.nrrd")
    ]
    assert all(len(found) == 1 and np.array_equal(found[0], masks[0][0]) for found in masks)
    assert dice(masks[0][0], ball()) > 0.75


@pytest.mark.parametrize(
    "line",
    [
        r"Read +CT, Oblique phantom",
        r"Size +16 x 48 x 96 voxels \(k, j, i\), 2\.5 x 1\.5 x 0\.75 mm",
        r"Orientation +SPL",
        r"Window +soft-tissue \(-160 to 240\)",
        r"Model +edgeflow_w18 \S+, loaded in [\d.]+ s",
        r"Device +cpu \(\d+ threads\)",
        r"Click \(8, 22, 50\) +[\d.]+ s +\d+ mm2  quality 0\.\d\d",
        r"Slice 7 +\d+ mm2  quality 0\.\d\d",
        r"Stopped before slice \d+: .+",
        r"Volume +[\d.]+ ml on \d+ slices",
        r"Diameters +[\d.]+ x [\d.]+ mm on slice \d+",
        r"Unreviewed +[1-9]\d* slices",
        r"Time +first prompt [\d.]+ s",
        r".+ball\.dcm",
        r".+report\.json",
    ],
)
def test_it_prints(job: Job, line: str) -> None:
    assert re.search(rf"^  {line}", job.ran.out, re.MULTILINE), job.ran.out


def test_it_prints_the_notice_last_and_no_codes_for_terminals(job: Job) -> None:
    assert job.ran.out.splitlines()[-1] == "Not a medical device; not for clinical use."
    assert "\x1b" not in job.ran.out


def test_both_directions_say_why_they_stopped(job: Job) -> None:
    assert job.ran.out.count("Stopped before slice") == 2


def test_the_report_says_what_was_printed(job: Job, series: Path) -> None:
    report = json.loads((job.folder / "report.json").read_text("utf-8"))
    mask = read_segmentation(job.folder / "ball.dcm", read_volume(series)).masks[0]
    (segment,) = report["segments"]
    assert segment["volume_ml"] == pytest.approx(mask.sum() * np.prod(BALL.spacing) / 1000, abs=1e-3)
    assert [row["slice"] for row in segment["slices"]] == np.flatnonzero(mask.any(axis=(1, 2))).tolist()
    assert len(report["model"]["sha256"]) == 64
    assert report["model"]["sha256"].startswith(report["model"]["version"].split("+")[1])
    assert parse_prompts(report["prompts"]).segments[0].label == "Ball"


def test_no_patient_is_in_the_report_the_picture_or_the_printout(job: Job, series: Path) -> None:
    header = read_volume(series).headers[0]
    text = (job.folder / "report.json").read_text("utf-8") + job.ran.out
    text += (job.folder / "ball.png").read_bytes().decode("latin-1")
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientBirthDate"):
        assert str(header[keyword].value) not in text
    assert "Mustermann" not in text
    assert str(series) not in (job.folder / "report.json").read_text("utf-8")


def test_the_picture_shows_something(job: Job) -> None:
    with Image.open(job.folder / "ball.png") as picture:
        assert picture.size[0] == 2000
        assert len(picture.convert("RGB").resize((64, 64)).getcolors(4096) or []) > 100


def test_several_segments_from_a_file(run: Run, series: Path, tmp_path: Path) -> None:
    segments = [
        {"label": "Ball", "prompts": [{"type": "click", "index": list(CENTRE)}]},
        {
            "label": "Streak",
            "prompts": [{"type": "scribble", "points": [[8, 22, 45], [8, 22, 55]], "width_mm": 2}],
        },
    ]
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps({"version": 1, "segments": segments}), "utf-8")
    output = tmp_path / "both.dcm"
    ran = run("segment", series, "--prompts", file, "--output", output)
    assert (ran.status, ran.err) == (0, "")
    found = read_segmentation(output, read_volume(series))
    assert [segment.label for segment in found.segments] == ["Ball", "Streak"]
    ball, streak = found.masks
    assert streak[8, 22, 45:56].all()
    assert ball.any()
    assert not (ball & streak).any()  # the stroke goes through the ball: the reader's latest word wins
    assert "median of 1" in ran.out


def test_clicks_refine_the_one_segment_of_an_initial_mask(run: Run, job: Job, series: Path, tmp_path: Path) -> None:
    outside = (8, 40, 80)
    output = tmp_path / "refined.seg.nrrd"
    clicks = ("--click", CLICK, "--click", f"{outside[0]},{outside[1]},{outside[2]},neg")
    ran = run("segment", series, *clicks, "--initial-mask", job.folder / "ball.seg.nrrd", "--output", output)
    assert ran.status == 0, ran.err
    volume = read_volume(series)
    before = read_segmentation(job.folder / "ball.seg.nrrd", volume)
    after = read_segmentation(output, volume)
    assert [segment.label for segment in after.segments] == ["Ball"]
    assert np.array_equal(after.masks[0][7], before.masks[0][7])
    assert after.masks[0][CENTRE]
    assert not after.masks[0][outside]


def test_the_range_limits_propagation(run: Run, series: Path, tmp_path: Path) -> None:
    output = tmp_path / "near.nii.gz"
    ran = run("segment", series, "--click", CLICK, "--propagate", "--range", 1, "--output", output)
    assert ran.status == 0, ran.err
    mask = read_segmentation(output, read_volume(series)).masks[0]
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [7, 8, 9]
    assert "the range limit is reached" in ran.out


def test_modality_wins_over_the_file_and_says_so(run: Run, series: Path, tmp_path: Path) -> None:
    ran = run("segment", series, "--click", CLICK, "--modality", "MR", "--output", tmp_path / "mr.nii")
    assert ran.status == 0, ran.err
    assert "Warning     The file says that it is CT, --modality says MR; taken as MR." in ran.out
    assert "Window      automatic" in ran.out


def test_a_nifti_is_segmented_in_another_plane(run: Run, series: Path, tmp_path: Path) -> None:
    import nibabel

    volume = read_volume(series)
    affine = np.diag([-1.0, -1, 1, 1]) @ volume.affine[:, [2, 1, 0, 3]]
    nibabel.save(nibabel.Nifti1Image(volume.array.transpose(2, 1, 0), affine), tmp_path / "ball.nii.gz")
    options = ("--click", CLICK, "--plane", "coronal", "--modality", "CT", "--output", tmp_path / "mask.nii.gz")
    ran = run("segment", tmp_path / "ball.nii.gz", *options)
    assert ran.status == 0, ran.err
    mask = read_segmentation(tmp_path / "mask.nii.gz", read_volume(tmp_path / "ball.nii.gz")).masks[0]
    assert np.flatnonzero(mask.any(axis=(0, 2))).tolist() == [CENTRE[1]]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that means Ctrl+C to one process")
def test_ctrl_c_is_quiet_and_leaves_nothing(series: Path, tmp_path: Path) -> None:
    import signal

    output = tmp_path / "ball.nii.gz"
    command = [sys.executable, "-u", "-m", "edgeflow_med", "segment", str(series), "--click", CLICK, "--propagate"]
    with subprocess.Popen(
        [*command, "--output", str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a background job of a shell ignores Ctrl+C, and so would the program that it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Device" in line:
                process.send_signal(signal.SIGINT)
                break
        _, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    assert list(tmp_path.iterdir()) == []


def test_graph_cuts_need_no_weights(run: Run, series: Path, tmp_path: Path) -> None:
    """A stroke on either side, carried to the neighbouring slices."""
    k, j, i = CENTRE
    strokes = [
        {"type": "scribble", "points": [[k, j, i - 4], [k, j, i + 4]], "width_mm": 3},
        {"type": "scribble", "points": [[k, 3, 10], [k, 3, 80]], "width_mm": 3, "positive": False},
    ]
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"version": 1, "segments": [{"label": "Ball", "prompts": strokes}]}), "utf-8")
    report, output = tmp_path / "report.json", tmp_path / "ball.nii.gz"
    ran = run(
        *("segment", series, "--prompts", prompts, "--propagate"),
        *("--model", "graphcut", "--report", report, "--output", output),
    )
    if "needs numpymaxflow" in ran.err:
        assert (ran.status, ran.err.count("\n")) == (2, 1)
        pytest.skip(ran.err)
    assert (ran.status, ran.err) == (0, "")
    model = json.loads(report.read_text("utf-8"))["model"]
    assert (model["name"], model["sha256"]) == ("graphcut", "")
    mask = read_segmentation(output, read_volume(series)).masks[0]
    assert dice(mask[k], ball()[k]) > 0.9
    assert dice(mask, ball()) > 0.6
