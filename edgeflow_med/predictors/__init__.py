"""Whatever answers a slice: one interface, several backends."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

from edgeflow_med.errors import UsageError
from edgeflow_med.predictors.base import Predictor
from edgeflow_med.weights import DEFAULT_MODEL, find_bundle

Engine = Literal["auto", "torch", "onnx"]
GRAPH_CUT = "graphcut"


class KnownModel(NamedTuple):
    """What can be said of a model without loading it.

    Attributes:
        version: As written into files.
        sha256: Of its weights; empty for a model without any.
        brakes: See :attr:`edgeflow_med.weights.Bundle.brakes`.
    """

    version: str
    sha256: str
    brakes: dict[str, Any]


def find_model(name: str) -> KnownModel:
    """See whether a model is there, in no time.

    Raises:
        ModelError: It is unknown or incomplete, or a package that it needs is not installed.
    """
    if name == GRAPH_CUT:
        from edgeflow_med.predictors.graphcut import GraphCutPredictor

        return KnownModel(GraphCutPredictor().version, "", {})
    bundle = find_bundle(name)
    return KnownModel(bundle.version, bundle.sha256, bundle.brakes)


def load_predictor(name: str = DEFAULT_MODEL, device: str = "auto", engine: Engine = "auto") -> Predictor:
    """Load a model that comes with the package.

    Args:
        name: Folder of ``weights/``, or ``graphcut``, which needs none.
        device: ``auto``, ``cpu`` or ``cuda``.
        engine: ``torch``, or ``onnx`` (CPU only); ``auto`` takes ONNX Runtime, which is faster on a CPU and needs no
            torch, where the model's ONNX file is there and no GPU is to be used.

    Raises:
        ModelError: The model is unknown, incomplete or was altered, or a package that it needs is not installed.
        UsageError: The device is not there, or not for this engine.
    """
    if name == GRAPH_CUT:
        from edgeflow_med.predictors.graphcut import GraphCutPredictor

        if device == "cuda":
            raise UsageError(f"Model {GRAPH_CUT} runs on the CPU; give --device cpu, or another model.")
        return GraphCutPredictor()
    from edgeflow_med.predictors.onnx import OnnxPredictor, onnx_file

    bundle = find_bundle(name)
    if engine == "onnx" and device == "cuda":
        raise UsageError("Engine onnx runs on the CPU; give --device cpu, or engine torch.")
    on_cpu = device == "cpu" or (device == "auto" and shutil.which("nvidia-smi") is None)
    if engine == "onnx" or (engine == "auto" and on_cpu and find_spec("onnxruntime") and onnx_file(bundle).is_file()):
        return OnnxPredictor.from_bundle(bundle)

    from edgeflow_med.predictors.torch import TorchPredictor

    return TorchPredictor.from_bundle(bundle, device)
