from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from edgeflow_med.errors import ModelError, ReadError
from edgeflow_med.network import EdgeFlow, EdgeFlowConfig
from edgeflow_med.predictors.zoom import ZoomPolicy
from edgeflow_med.training.checkpoints import read_checkpoint
from edgeflow_med.training.config import TrainConfig
from edgeflow_med.training.export import export, main, to_half
from edgeflow_med.training.loop import Trainer
from edgeflow_med.weights import MODEL_FILE, checksum, load_network, open_bundle


@pytest.fixture(scope="module")
def checkpoint(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run that has not yet made a step leaves behind."""
    folder = tmp_path_factory.mktemp("run")
    config = TrainConfig((str(dataset),), pseudo=str(dataset.parent / "pseudo"), device="cpu", seed=7)
    Trainer(config, folder).save()
    (folder / "log.jsonl").write_text('{"step": 0, "total": 1.5}\n{"step": 50, "total": 0.25}\n', "utf-8")
    return folder / "checkpoint.pt"


@pytest.fixture(scope="module")
def bundle_folder(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "edgeflow_test"
    export(checkpoint, folder, ZoomPolicy(size=192), folder.parent / "no_results")
    return folder


def test_a_bundle_holds_what_a_bundle_must(bundle_folder: Path) -> None:
    files = {str(p.relative_to(bundle_folder)) for p in bundle_folder.rglob("*") if p.is_file()}
    docs = {"docs/README.md", "docs/train_config.json"}
    assert files == {"LICENSE", MODEL_FILE, "configs/metadata.json", "configs/inference.json", *docs}
    assert "Apache License" in (bundle_folder / "LICENSE").read_text("utf-8")


def test_metadata_has_what_monais_schema_requires(bundle_folder: Path) -> None:
    content = json.loads((bundle_folder / "configs" / "metadata.json").read_text("utf-8"))
    texts = [
        "schema",
        "version",
        "monai_version",
        "pytorch_version",
        "numpy_version",
        "task",
        "description",
        "authors",
        "copyright",
    ]
    texts += ["data_source", "data_type", "image_classes", "label_classes", "pred_classes", "intended_use"]
    assert all(isinstance(content[key], str) and content[key] for key in texts)
    assert content["eval_metrics"] == {}
    assert all(isinstance(content[key], dict) for key in ("required_packages_version", "changelog"))
    for part in ("inputs", "outputs"):
        for tensor in content["network_data_format"][part].values():
            assert {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"} <= tensor.keys()
            assert len(tensor["channel_def"]) == tensor["num_channels"]
    prompts = content["network_data_format"]["inputs"]["prompts"]["channel_def"]
    assert list(prompts.values()) == ["previous mask", "previous edge", "positive prompts", "negative prompts"]


def test_the_bundle_loads_and_is_the_running_average(checkpoint: Path, bundle_folder: Path) -> None:
    bundle = open_bundle(bundle_folder)
    assert bundle.policy["size"] == 192
    assert bundle.sha256 == checksum(bundle.model_file)
    network, average = load_network(bundle), read_checkpoint(checkpoint)["average"]
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, average[name], rtol=1e-3, atol=1e-7)


def test_only_kernels_are_halved(bundle_folder: Path) -> None:
    for name, tensor in load_file(bundle_folder / MODEL_FILE).items():
        assert (tensor.dtype == torch.float16) == (tensor.ndim == 4), name


def test_half_precision_changes_no_answer_by_more_than_a_thousandth() -> None:
    torch.manual_seed(3)
    exact, halved = (EdgeFlow(EdgeFlowConfig(quality_head=True)).eval() for _ in range(2))
    halved.load_state_dict({name: tensor.float() for name, tensor in to_half(exact.state_dict()).items()})
    image, prompts = torch.randn(2, 3, 64, 64), torch.rand(2, 4, 64, 64)
    with torch.inference_mode():
        wanted, got = exact(image, prompts), halved(image, prompts)
    for one, other in zip(wanted, got, strict=True):
        assert (torch.sigmoid(one) - torch.sigmoid(other)).abs().max() < 1e-3
        assert one.std() > 1e-4  # a constant answer would prove nothing


def test_the_same_checkpoint_gives_the_same_checksum(checkpoint: Path, bundle_folder: Path, tmp_path: Path) -> None:
    again = export(checkpoint, tmp_path / "edgeflow_test", ZoomPolicy(size=192), tmp_path)
    assert again.sha256 == open_bundle(bundle_folder).sha256


def test_brakes_policy_and_the_onnx_file_stay_while_the_weights_do(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    folder, brakes = tmp_path / "model", {"bias": -4.0}
    assert export(checkpoint, folder, results=tmp_path).brakes == {}
    policy = ZoomPolicy(size=128, give_back=0.2)
    assert export(checkpoint, folder, policy, tmp_path, brakes).brakes == brakes
    (folder / "model.onnx").write_bytes(b"onnx")
    kept = export(checkpoint, folder, results=tmp_path)
    assert (kept.brakes, kept.policy) == (brakes, asdict(policy))
    assert (folder / "model.onnx").read_bytes() == b"onnx"
    other = TrainConfig((str(dataset),), device="cpu", seed=8)
    Trainer(other, tmp_path / "run").save()
    assert export(tmp_path / "run" / "checkpoint.pt", folder, results=tmp_path).brakes == {}
    assert not (folder / "model.onnx").exists()


def test_the_model_card_tells_what_the_run_left_behind(bundle_folder: Path) -> None:
    card = (bundle_folder / "docs" / "README.md").read_text("utf-8")
    assert "| Shapes | A ball and a box | 6 | 1 | CC0 | here |" in card
    assert "6 images of 1 data sets; 1 of them (17%)" in card
    assert "proposed on 1 slices" in card
    assert "Seed 7, 0 steps of 8 samples, 0 seconds." in card
    assert "It started from random weights." in card
    assert '"total": 1.5' in card
    assert '"total": 0.25' not in card  # logged after the checkpoint was written
    assert "have no figures yet" in card
    assert "$" not in card


def test_the_training_config_can_be_run_and_names_no_place(dataset: Path, bundle_folder: Path) -> None:
    config = TrainConfig.read(bundle_folder / "docs" / "train_config.json")
    assert (config.seed, config.datasets, config.pseudo) == (7, ("Shapes",), "pseudo")
    assert str(dataset.parent) not in "".join(p.read_text("utf-8") for p in bundle_folder.rglob("*.[jm][sd]*"))


def test_figures_of_exactly_these_weights_are_quoted(checkpoint: Path, bundle_folder: Path, tmp_path: Path) -> None:
    bundle = open_bundle(bundle_folder)
    report = {
        "predictor": {"name": bundle.name, "version": bundle.version, "device": "cpu"},
        "environment": {"date": "2026-11-22T10:00:00", "cpu": "a CPU", "commit": "0123456789abcdef"},
        "figures": {"clicks": {"Spheres": {"noc85": 3.25}, "mean": {"noc85": 3.25, "iou@1": 0.5}}},
        "propagation": {"mean": {"dice": 0.875}},
    }
    other = {**report, "predictor": {**report["predictor"], "version": "0.1.0+000000000000"}}  # type: ignore[dict-item]
    other["figures"] = {"clicks": {"mean": {"noc85": 9.75}}}
    for name, document in (("ours.json", report), ("other.json", other), ("list.json", [])):
        (tmp_path / name).write_text(json.dumps(document), "utf-8")
    folder = tmp_path / "weights" / bundle.name
    again = export(checkpoint, folder, ZoomPolicy(size=192), tmp_path)
    assert again.metadata["eval_metrics"] == {"clicks_noc85": 3.25, "clicks_iou@1": 0.5, "propagation_dice": 0.875}
    card = (folder / "docs" / "README.md").read_text("utf-8")
    assert "| Spheres | – | 3.25 |" in card
    assert "9.75" not in card


def test_a_data_set_without_a_licence_is_refused_and_the_old_bundle_stays(
    checkpoint: Path, dataset: Path, bundle_folder: Path
) -> None:
    manifest = dataset / "dataset.json"
    before, files = manifest.read_text("utf-8"), sorted(bundle_folder.parent.rglob("*"))
    try:
        manifest.write_text(json.dumps({**json.loads(before), "licence": ""}), "utf-8")
        with pytest.raises(ReadError, match="licence of data set"):
            export(checkpoint, bundle_folder)
    finally:
        manifest.write_text(before, "utf-8")
    assert sorted(bundle_folder.parent.rglob("*")) == files


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no checkpoint"):
        export(tmp_path / "checkpoint.pt", tmp_path / "model")


def test_the_command_line(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = ["--results", str(tmp_path)]
    main([str(checkpoint), str(tmp_path / "model"), "--size", "128", "--give-back", "0.2", *results])
    assert open_bundle(tmp_path / "model").policy == asdict(ZoomPolicy(size=128, give_back=0.2))
    assert "model 0.1.0+" in capsys.readouterr().out


def test_an_incomplete_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="metadata"):
        open_bundle(tmp_path)
