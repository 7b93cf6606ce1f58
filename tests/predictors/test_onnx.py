"""ONNX: PyTorch's answers without PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeflow_med import load_predictor
from edgeflow_med.errors import ModelError, UsageError
from edgeflow_med.io import read_volume
from edgeflow_med.predictors.base import SliceRequest, Stroke
from edgeflow_med.predictors.onnx import OnnxPredictor, onnx_file
from edgeflow_med.predictors.torch import TorchPredictor
from edgeflow_med.resources import resource
from edgeflow_med.training.onnx_export import Answering, export_onnx
from edgeflow_med.weights import Bundle, find_bundle, load_network
from edgeflow_med.windows import choose_window

BUNDLE = find_bundle("edgeflow_w18")
LITE = find_bundle("edgeflow_lite")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "w18.onnx"
    export_onnx(BUNDLE, path)
    return path


@pytest.mark.parametrize("shape", [(1, 256, 256), (2, 100, 133), (3, 64, 160)])
@pytest.mark.parametrize("bundle", [BUNDLE, LITE], ids=lambda bundle: bundle.name)
def test_any_batch_and_size_is_answered_as_by_pytorch(
    exported: Path, bundle: Bundle, shape: tuple[int, int, int]
) -> None:
    import onnxruntime

    network, path = Answering(load_network(bundle)).eval(), exported if bundle is BUNDLE else onnx_file(bundle)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    batch, *size = shape
    image, prompts = torch.rand(batch, 1, *size), torch.rand(batch, network.network.config.prompt_channels, *size)
    with torch.inference_mode():
        wanted = network(image, prompts)
    got = session.run(None, {"image": image.numpy(), "prompts": prompts.numpy()})
    for one, other in zip(wanted, got, strict=True):
        np.testing.assert_allclose(other, one.numpy(), atol=1e-3)
    assert wanted[0].std() > 0.01  # a constant answer would prove nothing


@pytest.mark.parametrize("bundle", [BUNDLE, LITE], ids=lambda bundle: bundle.name)
def test_a_real_slice_is_answered_as_by_pytorch(exported: Path, bundle: Bundle) -> None:
    volume = read_volume(resource("sample_data") / "sts_003_ct" / "series")
    image = choose_window(volume, None).apply(volume.array[25])
    rows, columns, _ = (n // 2 for n in (*image.shape, 0))
    fast = OnnxPredictor.from_bundle(bundle, exported if bundle is BUNDLE else None)
    exact = TorchPredictor.from_bundle(bundle, "cpu")
    assert fast.brakes == exact.brakes == bundle.brakes
    first = SliceRequest(image, strokes=(Stroke(((float(rows), float(columns)),)),))
    answers = [predictor.predict(first) for predictor in (fast, exact)]
    second = [
        predictor.predict(SliceRequest(image, strokes=first.strokes, previous=answer))
        for predictor, answer in zip((fast, exact), answers, strict=True)
    ]
    for one, other in (answers, second):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-3)
        np.testing.assert_allclose(one.edge, other.edge, atol=1e-3)
        assert one.quality == pytest.approx(other.quality, abs=1e-3)
        assert one.mask.any()
    assert (fast.name, fast.version) == (exact.name, exact.version)


def test_the_lite_model_answers_on_a_cpu_without_torch_and_monai() -> None:
    code = """
import sys
import numpy as np
from edgeflow_med.predictors import load_predictor
from edgeflow_med.predictors.base import SliceRequest, Stroke
predictor = load_predictor("edgeflow_lite", device="cpu")
predictor.predict(SliceRequest(np.zeros((64, 64), np.float32), strokes=(Stroke(((30.0, 30.0),)),)))
print(sorted({"torch", "monai"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_file_must_fit_the_weights(exported: Path, tmp_path: Path) -> None:
    metadata = {**BUNDLE.metadata, "edgeflow": {**BUNDLE.metadata["edgeflow"], "sha256": "0" * 64}}
    other = Bundle("edgeflow_w18", tmp_path, metadata)
    with pytest.raises(ModelError, match="made from other weights"):
        OnnxPredictor.from_bundle(other, exported)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(exported.read_bytes()[:5000])
    with pytest.raises(ModelError, match="not a usable ONNX file"):
        OnnxPredictor.from_bundle(BUNDLE, broken)
    with pytest.raises(ModelError, match="run `edgeflow-med export-onnx"):
        OnnxPredictor.from_bundle(BUNDLE, tmp_path / "missing.onnx")


def test_it_is_taken_on_a_cpu_once_it_is_there(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert isinstance(load_predictor(BUNDLE.name, device="cpu"), TorchPredictor)
    path = onnx_file(BUNDLE)
    assert path.is_relative_to(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(exported.read_bytes())
    assert isinstance(load_predictor(BUNDLE.name, device="cpu"), OnnxPredictor)
    assert isinstance(load_predictor(BUNDLE.name, device="cpu", engine="torch"), TorchPredictor)
    with pytest.raises(UsageError, match="Engine onnx runs on the CPU"):
        load_predictor(device="cuda", engine="onnx")
