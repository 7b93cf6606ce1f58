"""From a model and a reader's cases to a model of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeflow_med.errors import EdgeFlowError, ReadError
from edgeflow_med.predictors import load_predictor
from edgeflow_med.training.checkpoints import read_checkpoint
from edgeflow_med.training.finetune import finetune
from edgeflow_med.weights import find_bundle, load_network


def test_a_model_goes_on_learning_and_becomes_another(dataset: Path, tmp_path: Path) -> None:
    start, reports = find_bundle("edgeflow_w18"), []
    start.metadata["edgeflow"]["brakes"] = {"bias": -4.0}
    output = tmp_path / "mine"
    made = finetune(
        [dataset], start, output, tmp_path / "run", seconds=3.0, batch=1, workers=0, progress=reports.append
    )
    assert made.name == "mine"
    assert made.sha256 != start.sha256
    assert made.brakes == {"bias": -4.0}
    assert load_predictor(str(output), "cpu", "torch").version == made.version
    state = read_checkpoint(tmp_path / "run" / "checkpoint.pt")
    config = json.loads(state["config"])
    assert config["network"] == load_network(start).config.to_dict()
    assert config["samples"]["size"] == start.policy["size"] == 256  # it learns on crops as it will be shown
    assert state["seconds"] >= 3.0
    again = finetune([dataset], start, output, tmp_path / "run", seconds=3.0, batch=1, workers=0)
    assert again.sha256 == made.sha256  # its time was used up


def test_what_would_fail_at_the_end_fails_at_once(dataset: Path, tmp_path: Path) -> None:
    start = find_bundle("edgeflow_w18")
    with pytest.raises(ReadError, match="give another --output"):
        finetune([dataset], start, start.path, tmp_path / "run")
    manifest = json.loads((dataset / "dataset.json").read_text())
    bare = tmp_path / "Bare"
    (bare / "imagesTr").mkdir(parents=True)
    (bare / "dataset.json").write_text(json.dumps({**manifest, "licence": ""}))
    with pytest.raises(EdgeFlowError, match=r"licence of data set .* is not known"):
        finetune([bare], start, tmp_path / "mine", tmp_path / "run")
    assert not (tmp_path / "run").exists()
