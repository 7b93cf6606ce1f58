"""A run on a machine that reaches nothing: packed, carried, trained and brought back, as there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgeflow_med.network import EdgeFlow, EdgeFlowConfig
from edgeflow_med.training.burst import BurstError, coarse, collect, main, pack, train, unpack
from edgeflow_med.training.cases import is_validation, read_cases
from edgeflow_med.training.checkpoints import load_into, read_checkpoint
from edgeflow_med.training.config import TrainConfig
from edgeflow_med.training.export import export

NETWORK = {"ocr_channels": 8, "size": "lite", "dropout": 0.0}


@pytest.fixture
def config(dataset: Path, tmp_path: Path) -> Path:
    start = tmp_path / "start.safetensors"
    torch.manual_seed(3)
    save_file(EdgeFlow(EdgeFlowConfig(**NETWORK)).state_dict(), start)  # type: ignore[arg-type]
    content = {
        "datasets": [str(dataset)], "pseudo": str(dataset.parent / "pseudo"), "start": str(start), "batch": 2,
        "workers": 0, "rounds": 1, "device": "cpu", "report_every": 1, "network": NETWORK, "samples": {"size": 48},
    }  # fmt: skip
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


def test_a_run_goes_there_and_comes_back(config: Path, tmp_path: Path) -> None:
    parts = pack([config], tmp_path / "parts", megabytes=60)
    assert [path.name for path in parts] == ["part-1"]
    work, out = tmp_path / "work", tmp_path / "out"
    alone = [sys.executable, "-I", str(parts[0] / "burst.py")]  # as there: without this project in its path
    subprocess.run([*alone, "unpack", str(parts[0]), str(work)], check=True)
    there = TrainConfig.read(work / "runs" / "tiny" / "config.json")
    names = [case.name for case in read_cases(work / there.datasets[0], work / "pseudo")]
    assert len(names) == 5
    assert not any(is_validation(name) for name in names)
    subprocess.run([*alone, "train", str(work), str(out), "--seconds", "300", "--budget", "1"], check=True)
    # Called again with no time left, the run is ended at once, and what was there still comes back.
    subprocess.run([*alone, "train", str(work), str(out), "--seconds", "0"], check=True)
    (folder,) = collect(out, tmp_path / "runs")
    state = read_checkpoint(folder / "checkpoint.pt")
    assert state["step"] == len((folder / "log.jsonl").read_text().splitlines()) >= 1
    back, asked = json.loads(state["config"]), json.loads(config.read_text())
    assert {key: back[key] for key in ("datasets", "pseudo", "start")} == {
        key: asked[key] for key in ("datasets", "pseudo", "start")
    }
    network = EdgeFlow(EdgeFlowConfig(**NETWORK))  # type: ignore[arg-type]
    load_into(network, folder / "checkpoint.pt")
    whole = read_checkpoint(work / "runs" / "tiny" / "checkpoint.pt")["average"]
    torch.testing.assert_close(network.state_dict(), whole, rtol=1e-3, atol=1e-4)
    vectors = [name for name, value in whole.items() if value.ndim < 4]
    assert all(torch.equal(state["average"][name], whole[name]) for name in vectors)  # may be too small for 16 bits
    assert "steps of 6 HU" in (folder / "notes.md").read_text()
    assert "steps of 6 HU" in (export(folder / "checkpoint.pt", tmp_path / "tiny").path / "docs/README.md").read_text()


def test_a_run_that_fails_ends_at_once_and_says_why(
    config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (part,) = pack([config], tmp_path / "parts", megabytes=60)
    unpack(part, tmp_path / "work")
    (tmp_path / "work" / "start" / "tiny.safetensors").write_bytes(b"spoilt")
    assert train(tmp_path / "work", tmp_path / "out", seconds=3600) == 1
    assert "SafetensorError" in capfd.readouterr().out
    with pytest.raises(BurstError, match="No run came back"):
        collect(tmp_path / "out", tmp_path / "runs")


def test_parts_are_no_larger_than_asked(
    config: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(config.read_text())
    content["datasets"] = [str(dataset)] * 9
    config.write_text(json.dumps(content))
    (whole,) = pack([config], tmp_path / "whole", megabytes=60)
    data = sum(path.stat().st_size for path in whole.glob("data-*")) / 2**20
    largest = sum(path.stat().st_size for path in whole.iterdir()) / 2**20 - 0.5 * data
    parts = pack([config], tmp_path / "parts", largest)
    sizes = [sum(path.stat().st_size for path in part.iterdir()) / 2**20 for part in parts]
    assert len(parts) == 2
    assert max(sizes) <= largest
    assert all((part / "burst.py").exists() for part in parts)
    assert sum(len(list(part.glob("data-*"))) for part in parts) == 9
    assert main(["pack", str(config), "--output", str(tmp_path / "small"), "--megabytes", "1"]) == 2
    assert "allow more --megabytes" in capsys.readouterr().err
    assert not list((tmp_path / "small").iterdir())  # nothing stands in the way of the next try


def test_a_folder_with_anything_in_it_is_left_alone(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pack", str(config), "--output", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert config.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [("no JSON", "no config"), ("{}", "no config"), ('{"datasets": ["nowhere"]}', "No images in nowhere")],
)
def test_what_cannot_be_packed_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    assert main(["pack", str(path), "--output", str(tmp_path / "parts")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_only_so_many_cases_go_along_and_images_alone_will_do(config: Path, dataset: Path, tmp_path: Path) -> None:
    bare = tmp_path / "Bare"
    shutil.copytree(dataset / "imagesTr", bare)
    content = json.loads(config.read_text())
    content["datasets"].append(str(bare))
    config.write_text(json.dumps(content))
    (part,) = pack([config], tmp_path / "parts", megabytes=60, most=2)
    unpack(part, tmp_path / "work")
    for n, name in enumerate(("Shapes", "Bare")):
        cases = read_cases(tmp_path / "work" / "data" / str(n) / name)
        assert len(cases) == 2
        assert cases[0].image.shape == (40, 44, 24)
        assert cases[0].labels.any() == (name == "Shapes")


def test_runs_that_want_other_data_are_packed_apart(config: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps(json.loads(config.read_text()) | {"pseudo": None}))
    with pytest.raises(BurstError, match="same data sets"):
        pack([config, other], tmp_path / "parts", megabytes=60)


def test_coarse_values_are_near_the_true_ones(dataset: Path) -> None:
    for case in read_cases(dataset):
        values = coarse(case).astype(float)
        inside = (case.image > -1024) & (case.image < 1600)
        assert np.abs(values - case.image)[inside].max() <= 3
        assert len(np.unique(values)) < len(np.unique(case.image)) / 3
