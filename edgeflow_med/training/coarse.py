"""The part of EdgeFlow's graph that the published COCO+LVIS weights fill: no late fusion, edge branch or FineNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgeflow_med.errors import ModelError
from edgeflow_med.hrnet import resize
from edgeflow_med.network import EdgeFlow, EdgeFlowConfig
from edgeflow_med.training.paddle import PaddleModel, read_model

SCALE = "scale_layer_0.w_0"


class CoarseNet(nn.Module):
    """Image ``(N, 3, H, W)`` and prompts ``(N, 3, H, W)`` -> mask logits ``(N, 1, H, W)``.

    The prompts are the previous mask, positive and negative clicks.
    """

    def __init__(self) -> None:
        super().__init__()
        whole = EdgeFlow(EdgeFlowConfig(previous_mask=True, previous_edge=False))
        self.interaction, self.trunk = whole.interaction, whole.trunk
        self.auxiliary, self.reduce = whole.auxiliary, whole.reduce
        self.context, self.coarse = whole.context, whole.coarse

    def forward(self, image: Tensor, prompts: Tensor) -> Tensor:  # noqa: D102  in the class docstring
        features = self.trunk.late(self.trunk.early(image, self.interaction(prompts)))
        auxiliary = self.auxiliary(features)
        context = self.context(self.reduce(features), auxiliary)
        return resize(self.coarse(context), (image.shape[-2], image.shape[-1]))


def convert(stem: Path) -> CoarseNet:
    """The network with the weights of ``<stem>.pdmodel`` and ``<stem>.pdiparams``.

    Both graphs run their layers in the same order, so the n-th convolution or batch norm of one is that of the other.

    Raises:
        ReadError: The files cannot be read.
        ModelError: They hold another network.
    """
    network = CoarseNet().eval()
    model = read_model(stem)
    _check(model, network, stem)
    for layer, module in zip(model.layers, _in_order(network), strict=True):
        state = {name: torch.from_numpy(np.array(tensor)) for name, tensor in layer.tensors.items()}
        if not layer.is_convolution:
            state["num_batches_tracked"] = torch.tensor(0)
        module.load_state_dict(state)
    network.interaction.scale.data.fill_(float(model.others[SCALE].item()))
    return network


def _check(model: PaddleModel, network: CoarseNet, stem: Path) -> None:
    ours = _in_order(network)
    fits = len(ours) == len(model.layers) and SCALE in model.others
    if not fits or any(
        layer.is_convolution != isinstance(module, nn.Conv2d)
        or tuple(layer.tensors["weight"].shape) != tuple(module.weight.shape)
        for layer, module in zip(model.layers, ours, strict=True)
    ):
        raise ModelError(f"{stem} does not hold HRNet18-OCR64 for interactive segmentation; give that model.")


def _in_order(network: CoarseNet) -> list[Any]:
    """Convolutions and batch norms of a network in the order in which it runs them."""
    order: list[nn.Module] = []
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    hooks = [layer.register_forward_hook(lambda module, _inputs, _output: order.append(module)) for layer in layers]
    with torch.inference_mode():
        network(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    return order
