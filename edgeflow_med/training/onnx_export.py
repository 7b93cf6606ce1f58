"""A model of ``weights/`` as ONNX: any batch and size, probabilities out."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgeflow_med.errors import ModelError, WriteError
from edgeflow_med.io.atomic import write_verified
from edgeflow_med.network import EdgeFlow, EdgeFlowConfig, normalise
from edgeflow_med.predictors.onnx import METADATA
from edgeflow_med.weights import Bundle, load_network

OPSET = 17
TOLERANCE = 1e-3


class Answering(nn.Module):
    """The network as a predictor uses it: grey in, probabilities out."""

    def __init__(self, network: EdgeFlow) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, prompts: Tensor) -> tuple[Tensor, ...]:
        """Image ``(N, 1, H, W)``, prompts ``(N, P, H, W)`` in [0, 1] -> mask, edge, and quality ``(N, 1)`` if known."""
        output = self.network(normalise(image), prompts)
        answers = (output.mask, output.edge, output.quality)
        return tuple(torch.sigmoid(answer) for answer in answers if answer is not None)


def export_onnx(bundle: Bundle, path: Path) -> None:
    """Write a bundle's network as ONNX, complete and compared with PyTorch, or not at all.

    Raises:
        ModelError: The bundle is broken, or a package is missing.
        WriteError: The file cannot be written, or its answers differ by more than a thousandth.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"The package {error.name} is not installed; give `pip install edgeflow-med[onnx]`.") from None
    exact = Answering(load_network(bundle)).eval()
    config = exact.network.config
    kept = [channel for channel, used in enumerate((config.previous_mask, config.previous_edge, True, True)) if used]
    facts = {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256, "channels": kept}

    def write(draft: Path) -> None:
        _trace(exact, draft)
        model = onnx.load(draft)
        onnx.helper.set_model_props(model, {METADATA: json.dumps(facts)})
        onnx.checker.check_model(model)
        onnx.save(model, draft)

    def verify(draft: Path) -> None:
        image, prompts = _example(config, 1, 160, 192)
        with torch.inference_mode():
            wanted = exact(image, prompts)
        session = onnxruntime.InferenceSession(draft, providers=["CPUExecutionProvider"])
        got = session.run(None, {"image": image.numpy(), "prompts": prompts.numpy()})
        difference = max(float(np.abs(one.numpy() - other).max()) for one, other in zip(wanted, got, strict=True))
        if difference > TOLERANCE:
            raise WriteError(f"ONNX answers differ by {difference:.1e} from PyTorch's; nothing was written to {path}.")

    write_verified(path, write, verify)


def _example(config: EdgeFlowConfig, batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (batch, 1, height, width), (batch, config.prompt_channels, height, width)
    image, prompts = (torch.rand(shape, generator=generator) for shape in shapes)
    return image, prompts


def _trace(network: Answering, path: Path) -> None:
    sizes = {0: "batch", 2: "height", 3: "width"}
    names = ["mask", "edge", "quality"][: 2 + network.network.config.quality_head]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing asks whether sizes are constants; a test says that they are not
        torch.onnx.export(
            network,
            _example(network.network.config, 2, 96, 64),
            str(path),
            input_names=["image", "prompts"],
            output_names=names,
            dynamic_axes={"image": sizes, "prompts": sizes, "mask": sizes, "edge": sizes, "quality": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,  # the newer exporter takes a hundred times longer for the same graph
        )
