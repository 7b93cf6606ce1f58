from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from edgeflow_med import load_predictor
from edgeflow_med.errors import ModelError, UsageError
from edgeflow_med.network import EdgeFlow
from edgeflow_med.predictors.lazy import LazyPredictor
from edgeflow_med.predictors.torch import TorchPredictor
from edgeflow_med.predictors.zoom import ZoomPolicy
from edgeflow_med.propagation.brakes import DEFAULT
from edgeflow_med.training.export import bundle_metadata, to_half
from edgeflow_med.weights import (
    DEFAULT_MODEL,
    MODEL_FILE,
    bundle_names,
    checksum,
    find_bundle,
    load_network,
    open_bundle,
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete bundle with random weights."""
    folder = tmp_path_factory.mktemp("weights") / "random"
    (folder / "configs").mkdir(parents=True)
    torch.manual_seed(0)
    network = EdgeFlow()
    save_file(to_half(network.state_dict()), folder / MODEL_FILE)
    policy = ZoomPolicy(size=128)
    metadata = bundle_metadata("random", network.config.to_dict(), policy, checksum(folder / MODEL_FILE))
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), "utf-8")
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(original, tmp_path / "random"))


def edit(folder: Path, **changes: object) -> None:
    """Change entries of the metadata's ``edgeflow`` part; None removes one."""
    path = folder / "configs" / "metadata.json"
    content = json.loads(path.read_text("utf-8"))
    content["edgeflow"] |= changes
    content["edgeflow"] = {key: value for key, value in content["edgeflow"].items() if value is not None}
    path.write_text(json.dumps(content), "utf-8")


def test_a_whole_bundle_loads(original: Path) -> None:
    bundle = open_bundle(original)
    network = load_network(bundle)
    assert not network.training
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert bundle.version.endswith("+" + checksum(original / MODEL_FILE)[:12])
    predictor = TorchPredictor.from_bundle(bundle, "cpu")
    assert (predictor.name, predictor.version, predictor.policy.size) == ("random", bundle.version, 128)
    assert predictor.device.startswith("cpu")


def test_a_model_brings_its_brakes_whoever_loads_it(folder: Path) -> None:
    brakes = asdict(replace(DEFAULT, bias=-1.5))
    assert LazyPredictor(str(folder)).brakes == {}
    edit(folder, brakes=brakes)
    assert TorchPredictor.from_bundle(open_bundle(folder), "cpu").brakes == brakes
    assert LazyPredictor(str(folder)).brakes == brakes


def test_one_altered_byte_is_refused(folder: Path) -> None:
    content = bytearray((folder / MODEL_FILE).read_bytes())
    content[-1] ^= 1
    (folder / MODEL_FILE).write_bytes(content)
    with pytest.raises(ModelError, match="was altered"):
        load_network(open_bundle(folder))


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    weights = load_file(folder / MODEL_FILE)
    del weights["coarse.weight"]
    save_file(weights, folder / MODEL_FILE)
    edit(folder, sha256=checksum(folder / MODEL_FILE))
    with pytest.raises(ModelError, match="does not fit"):
        load_network(open_bundle(folder))


def test_a_file_that_is_not_safetensors_is_refused(folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes(b"not a model")
    edit(folder, sha256=checksum(folder / MODEL_FILE))
    with pytest.raises(ModelError, match="does not fit"):
        load_network(open_bundle(folder))


@pytest.mark.parametrize("change", [{"sha256": None}, {"policy": None}, {"policy": 7}])
def test_incomplete_metadata_is_refused(folder: Path, change: dict[str, object]) -> None:
    edit(folder, **change)
    with pytest.raises(ModelError, match="unreadable metadata"):
        open_bundle(folder)


def test_metadata_of_a_newer_version_is_refused(folder: Path) -> None:
    edit(folder, config={"attention": "new"})
    with pytest.raises(ModelError, match="does not fit"):
        load_network(open_bundle(folder))
    edit(folder, config={}, policy={"overview": True})
    with pytest.raises(ModelError, match="policy"):
        TorchPredictor.from_bundle(open_bundle(folder), "cpu")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"edgeflow": null}'])
def test_broken_metadata_is_refused(folder: Path, text: str) -> None:
    (folder / "configs" / "metadata.json").write_text(text, "utf-8")
    with pytest.raises(ModelError, match="unreadable metadata"):
        open_bundle(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / MODEL_FILE).unlink()
    with pytest.raises(ModelError, match=r"has no model\.safetensors"):
        open_bundle(folder)


def test_an_unknown_model_is_refused_with_the_names_that_are_known() -> None:
    with pytest.raises(ModelError, match=DEFAULT_MODEL):
        find_bundle("edgeflow_w999")


def test_the_default_model_is_here_and_whole() -> None:
    assert DEFAULT_MODEL in bundle_names()
    predictor = load_predictor(device="cpu")
    assert predictor.name == DEFAULT_MODEL
    assert predictor.version == find_bundle(DEFAULT_MODEL).version


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UsageError, match="abacus"):
        load_predictor(device="abacus")
