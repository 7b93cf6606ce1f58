"""Every command and every example of docs/how-to/lesion.md runs, in the order of the page.

With the real model that takes half a minute and more; the quick run has the same commands answered without a network.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from edgeflow_med.io import local, read_segmentation, read_volume
from edgeflow_med.metrics import dice
from tests.cli.conftest import run_command
from tests.cli.scans import Flood

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "lesion.md").read_text("utf-8")
FENCED = re.findall(r"^```(sh|python)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def beside_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for what is written, where a reader would be."""
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_page(folder: Path) -> None:
    lines = [line for kind, text in FENCED if kind == "sh" for line in text.splitlines()]
    assert len(lines) > 15
    for line in lines:
        program, *arguments = shlex.split(line)
        ran = run_command(*arguments)
        assert (program, ran.status, ran.err) == ("edgeflow-med", 0, ""), line
    told = json.loads((folder / "lesion.dcm.provenance.json").read_text("utf-8"))
    assert told["Readers"] == ["reader-1"]
    slices = json.loads((folder / "accepted.dcm.provenance.json").read_text("utf-8"))["Segments"][0]["Slices"]
    assert [row["Slice"] for row in slices] == [21, 22, 23, 24, 25]
    assert {path.name for path in folder.iterdir()} >= {"measurements.csv", "effort.csv", "data"}


def test_the_commands_run(beside_the_samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network, and the scan is read once."""
    scan = local.read_volume([ROOT / "sample_data" / "sts_003_ct" / "series"])
    monkeypatch.setattr("edgeflow_med.io.child.read_volume", lambda *_, **__: scan)
    monkeypatch.setattr("edgeflow_med.io.child.list_series", lambda *_: [])
    monkeypatch.setattr("edgeflow_med.predictors.lazy.load_predictor", lambda *_: Flood())
    run_page(beside_the_samples)


@pytest.mark.slow
def test_the_model_outlines_the_lesion_by_the_same_commands(beside_the_samples: Path) -> None:
    run_page(beside_the_samples)
    series = ROOT / "sample_data" / "sts_003_ct"
    volume = read_volume(series / "series")
    expert = read_segmentation(series / "tumour.nii.gz", volume).masks[0]
    outline = read_segmentation(beside_the_samples / "lesion.dcm", volume).masks[0]
    within = slice(19, 28)
    assert dice(outline[within], expert[within]) > 0.8


@pytest.mark.slow
def test_the_python_examples_run_one_after_the_other(beside_the_samples: Path) -> None:
    for kind, text in FENCED:
        if kind == "python":
            exec(compile(text, "docs/how-to/lesion.md", "exec"), {})
    assert (beside_the_samples / "lesion-py.dcm.provenance.json").is_file()
