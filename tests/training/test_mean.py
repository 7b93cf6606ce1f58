from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from edgeflow_med.network import EdgeFlowConfig
from edgeflow_med.training.checkpoints import read_checkpoint
from edgeflow_med.training.config import TrainConfig
from edgeflow_med.training.loop import Trainer
from edgeflow_med.training.mean import average_runs, main

CONFIG = TrainConfig(("data",), device="cpu", network=EdgeFlowConfig(size="lite", ocr_channels=32))


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two runs that have drawn other weights."""
    for number, name in enumerate(("one", "other"), start=1):
        trainer = Trainer(replace(CONFIG, seed=number), tmp_path / name)
        trainer.step, trainer.seconds = 10 * number, 5.0
        trainer.save()
    (tmp_path / "one" / "notes.md").write_text("How it came about.", "utf-8")
    return [tmp_path / "one", tmp_path / "other"]


def test_the_mean_lies_between_the_runs_and_counts_for_both(runs: list[Path], tmp_path: Path) -> None:
    assert main([*map(str, runs), "--output", str(tmp_path / "mean")]) == 0
    one, other, mean = (read_checkpoint(run / "checkpoint.pt") for run in (*runs, tmp_path / "mean"))
    name = "trunk.stem1.0.weight"
    torch.testing.assert_close(mean["average"][name], (one["average"][name] + other["average"][name]) / 2)
    assert not torch.equal(one["average"][name], other["average"][name])
    assert (mean["step"], mean["seconds"]) == (30, 10.0)
    assert json.loads(mean["config"]) == json.loads(json.dumps(asdict(replace(CONFIG, seed=1))))
    assert (tmp_path / "mean" / "notes.md").read_text("utf-8") == "How it came about."
    Trainer(CONFIG, tmp_path / "third").network.load_state_dict(mean["average"])


def test_what_has_no_mean_is_refused(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large = Trainer(replace(CONFIG, network=EdgeFlowConfig()), tmp_path / "large")
    large.save()
    for given, told in (
        ([runs[0]], "A mean needs at least two runs; 1 given."),
        ([runs[0], tmp_path / "nowhere"], f"There is no checkpoint.pt in {tmp_path / 'nowhere'}"),
        ([runs[0], tmp_path / "large"], "The runs are of different networks"),
    ):
        assert main([*map(str, given), "--output", str(tmp_path / "mean")]) == 2
        assert capsys.readouterr().err.startswith(told)
        assert not (tmp_path / "mean").exists()
    average_runs(runs, tmp_path / "mean")
    assert main([*map(str, runs), "--output", str(tmp_path / "mean")]) == 2
    assert "is a run already" in capsys.readouterr().err
