"""Deep interactive object selection: Xu, Price, Cohen, Yang and Huang, CVPR 2016, re-implemented small.

As there: the picture and two maps of the distance to the nearest positive and negative click, truncated, go through a
fully convolutional network, and a graph cut on its probabilities draws the outline; no answer is fed back. Not as
there: grey pictures, a small MONAI UNet instead of FCN-8s, and the training of ``benchmarks/quality/dios_train.py``,
which took minutes: the row shows how the method works, not how good it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks.quality.graphcut import PEER as GRAPH_CUT
from benchmarks.quality.grids import Array, resample
from benchmarks.quality.peer import Peer
from benchmarks.quality.sam import Frame
from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.predictors.graphcut import bake, cut, load_maxflow
from edgeflow_med.predictors.seeds import Mask, certain, reached, read_seeds

WEIGHTS = Path(__file__).with_name("dios.safetensors")
SIDE = 256  # of the square that holds a slice, its long side filling it
REACH = 64.0  # pixels there at which distances are truncated (255 in the article, on larger pictures)
CHANNELS = (16, 32, 64, 128, 128)

PEER = Peer(
    name="dios",
    title="deep object selection (after Xu et al.)",
    code_licence="Apache-2.0",
    weights_licence="Apache-2.0",
    parameters=0.6,
    megabytes=1.2,
    prompts=("clicks", "scribbles"),
    seen="no: trained on the training sets of our own models",
    package=GRAPH_CUT.package,
    shares=GRAPH_CUT.name,
    adapts="small UNet, trained for minutes (benchmarks/quality/dios_train.py); distances start from whole scribbles",
)


class Dios:
    """The predictor."""

    name = PEER.name
    device = "cpu"

    def __init__(self, threads: int | None = None) -> None:  # noqa: ARG002  torch's threads belong to the process
        from safetensors import safe_open

        with PEER.on_path():
            load_maxflow()
        with safe_open(WEIGHTS, "pt") as file:
            notes = file.metadata()
            self.version, self._level = notes["made"], float(notes["level"])
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118  no mapping
        self._network = build()
        self._network.load_state_dict(state)
        self._network.eval()

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        import torch

        shape = (request.image.shape[0], request.image.shape[1])
        seeds = read_seeds(request.strokes, shape)
        if not seeds.positive.any():
            return certain(np.zeros(shape, bool))
        frame = Frame(shape, SIDE, stretch=False)
        inner = frame.inner
        maps = distance_maps([shrink(mask, inner) for mask in (seeds.positive, seeds.negative)])
        inputs = frame.pad(np.concatenate([frame.image(request.image)[None], maps]))
        with torch.inference_mode():
            logits = self._network(torch.from_numpy(inputs))[0, 0, : inner[0], : inner[1]]
        # The level at which the training cuts becomes one half, where the graph cut does.
        level = np.log(self._level / (1 - self._level))
        foreground = resample(torch.sigmoid(logits - level).numpy(), shape).clip(0.01, 0.99)
        mask = cut(request.image, bake(np.stack([1 - foreground, foreground]), seeds))
        return certain(reached(mask, seeds))


def build() -> Any:
    """The network, untrained: picture and two distance maps -> logit."""
    from monai.networks.nets import UNet

    return UNet(spatial_dims=2, in_channels=3, out_channels=1, channels=CHANNELS, strides=(2, 2, 2, 2), num_res_units=1)


def distance_maps(marks: Sequence[Mask]) -> Array:
    """Distance to the nearest mark, for each sign, 0 to 1 at ``REACH`` pixels and beyond: ``(2, H, W)``."""
    maps = [ndimage.distance_transform_edt(~mark) if mark.any() else np.full(mark.shape, REACH) for mark in marks]
    return (np.minimum(maps, REACH) / REACH).astype(np.float32)


@cache
def _places(source: int, target: int) -> Any:
    return np.minimum(((np.arange(source) + 0.5) * target / source).astype(int), target - 1)


def shrink(mask: Mask, shape: tuple[int, int]) -> Mask:
    """A mask on another grid: pixels in which any of its pixels lies, so that no click gets lost."""
    small = np.zeros(shape, bool)
    rows, columns = np.nonzero(mask)
    small[_places(mask.shape[0], shape[0])[rows], _places(mask.shape[1], shape[1])[columns]] = True
    return small
