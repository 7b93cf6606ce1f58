"""Geodesic distance: a pixel goes to the side whose strokes are nearer, counted along the image's grey.

As in Criminisi, Sharp and Blake, *GeoS: geodesic image segmentation*, ECCV 2008, but with scikit-image's exact shortest
paths (``MCP_Geometric``) over the gradient instead of raster scans. FastGeodis, which medical tools use, has no wheels;
what became of building it stands in ``docs/explanation/field.md``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric

from benchmarks.quality.grids import Array, Mask, outline
from benchmarks.quality.peer import LastEncoding, Peer
from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.predictors.seeds import certain, read_seeds

SIGMA = 1.0  # pixels by which the image is smoothed
STEP = 5e-5  # what a pixel costs where nothing changes, beside the squared gradient (of the window per pixel)

PEER = Peer(
    name="geodesic",
    title="geodesic distance (scikit-image)",
    code_licence="BSD-3-Clause",
    weights_licence="",
    parameters=0.0,
    megabytes=0.0,
    prompts=("scribbles",),
    seen="no: nothing is trained",
    adapts="exact shortest paths over the smoothed gradient; without a negative stroke the border region is background",
)


class Geodesic:
    """The predictor."""

    name = PEER.name
    version = PEER.version
    device = "cpu"

    def __init__(self, threads: int | None = None) -> None:  # noqa: ARG002  the algorithm runs on one
        self._costs = LastEncoding(costs)

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        seeds = read_seeds(request.strokes, (request.image.shape[0], request.image.shape[1]))
        negative = seeds.background
        if not seeds.positive.any() or not negative.any():
            return certain(seeds.positive)
        landscape = self._costs.of(request)
        inside, outside = (distance(landscape, starts) for starts in (seeds.positive, negative))
        probability = (outside / np.maximum(inside + outside, 1e-9)).astype(np.float32)
        return Prediction(probability, outline(probability >= 0.5), 0.0)


def costs(image: Array) -> NDArray[np.float64]:
    """What it costs to cross each pixel."""
    return np.asarray(STEP + ndimage.gaussian_gradient_magnitude(image.astype(np.float64), SIGMA) ** 2)


def distance(landscape: NDArray[np.float64], starts: Mask) -> NDArray[np.float64]:
    """Cost of the cheapest path from the nearest start to each pixel, ``(H, W)``."""
    ways, _ = MCP_Geometric(landscape).find_costs(np.argwhere(starts))
    return np.asarray(ways)
