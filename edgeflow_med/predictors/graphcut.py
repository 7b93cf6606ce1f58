"""Interactive graph cuts, which need no weights.

Boykov and Jolly, *Interactive Graph Cuts for Optimal Boundary & Region Segmentation of Objects in N-D Images*, 2001:
every pixel is a node. Neighbours are linked by ``exp(-(difference of grey)^2 / (2 sigma^2))``, and each pixel to
foreground and background by the negative log of how probable its grey makes the other one, from histograms of what
the reader showed of both. The minimum cut is the answer; pixels under a stroke cannot change sides.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edgeflow_med.errors import ModelError
from edgeflow_med.metrics import bounding_box
from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.predictors.seeds import Seeds, certain, reached, read_seeds
from edgeflow_med.predictors.zoom import expected_iou

NAME = "graphcut"
BINS = 64
SMOOTHING = 1.5  # bins
LAMBDA = 1.0
SIGMA = 0.1  # of the window
CORE_SHARE = 0.25  # of a neighbour's mask's radius: its outline may lie so far from there on the next slice
SURROUNDINGS = 8  # pixels around an answer that tell how well it is set off

Array = NDArray[np.float32]


class GraphCutPredictor:
    """The predictor; ``load_predictor("graphcut")``.

    A neighbour's mask counts as seeds: its core as foreground, all beyond its surroundings as background. The quality
    is the IoU that the histograms lead to expect near the answer; it is not calibrated.

    Raises:
        ModelError: numpymaxflow is not installed.
    """

    name = NAME
    device = "cpu"

    def __init__(self) -> None:
        load_maxflow()
        self.version = f"numpymaxflow {version('numpymaxflow')}"

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        seeds = gather(request)
        if not seeds.positive_sample.any():
            return certain(np.zeros(request.image.shape, bool))
        probabilities = likelihoods(request.image, seeds)
        mask = reached(cut(request.image, probabilities), seeds)
        return certain(mask, _quality(mask, probabilities[1]))


def load_maxflow() -> Any:
    """Numpymaxflow's minimum cut.

    Raises:
        ModelError: It is not installed.
    """
    try:
        return import_module("numpymaxflow").maxflow
    except ImportError:
        raise ModelError(
            "Model 'graphcut' needs numpymaxflow, built for the numpy that is here; with a C++ compiler, run "
            "`pip install --no-binary numpymaxflow --no-build-isolation --no-cache-dir setuptools numpymaxflow`."
        ) from None


def gather(request: SliceRequest) -> Seeds:
    """Seeds from strokes, from a neighbouring slice's mask, and from other segments."""
    shape = (request.image.shape[0], request.image.shape[1])
    seeds = read_seeds(request.strokes, shape)
    if request.propagated and request.previous is not None and request.previous.mask.any():
        seeds = with_neighbour(seeds, request.previous.mask)
    if request.excluded is not None:
        seeds = replace(
            seeds,
            positive=seeds.positive & ~request.excluded,
            positive_sample=seeds.positive_sample & ~request.excluded,
            negative=seeds.negative | request.excluded,
        )
    return seeds


def with_neighbour(seeds: Seeds, mask: NDArray[np.bool_]) -> Seeds:
    """Seeds, and what a mask on the neighbouring slice shows; strokes win."""
    margin = CORE_SHARE * float(np.sqrt(mask.sum() / np.pi))
    depth = ndimage.distance_transform_edt(mask)
    height = ndimage.distance_transform_edt(~mask)
    core = depth > min(margin, float(depth.max()) - 0.5)
    beyond = height > max(margin, 1.0)
    near = beyond & (height <= 4 * max(margin, 2.0))
    drawn = seeds.positive | seeds.negative
    return Seeds(
        seeds.positive | (core & ~drawn),
        seeds.negative | (beyond & ~drawn),
        seeds.positive_sample | (core & ~drawn),
        near & ~drawn if not seeds.negative.any() else seeds.negative_sample | (near & ~drawn),
    )


def likelihoods(image: Array, seeds: Seeds) -> Array:
    """Probabilities of background and foreground ``(2, *image.shape)``: of smoothed histograms, sure under strokes."""
    grey = np.minimum((image * BINS).astype(int), BINS - 1)
    densities = []
    for sample in (seeds.negative_sample, seeds.positive_sample):
        counts = np.bincount(grey[sample], minlength=BINS).astype(np.float64)
        density = ndimage.gaussian_filter1d(counts, SMOOTHING, mode="constant")
        densities.append((density / max(density.sum(), 1.0) + 1e-3)[grey])
    return bake(np.stack(densities) / np.sum(densities, axis=0), seeds)


def bake(probabilities: NDArray[np.floating[Any]], seeds: Seeds) -> Array:
    """Make probabilities ``(2, ...)`` of background and foreground sure where the reader has drawn."""
    both = probabilities.astype(np.float32)
    both[:, seeds.positive] = np.array([[0.0], [1.0]])
    both[:, seeds.negative] = np.array([[1.0], [0.0]])
    return both


def cut(image: Array, probabilities: Array, strength: float = LAMBDA) -> NDArray[np.bool_]:
    """The minimum cut.

    Args:
        image: ``(H, W)`` or ``(K, H, W)`` in [0, 1].
        probabilities: ``(2, *image.shape)`` of background and foreground.
        strength: Of the links between neighbours (lambda).

    Returns:
        The foreground, of the image's shape.
    """
    neighbours = 2 * image.ndim
    found = load_maxflow()(image[None], probabilities, strength, SIGMA, neighbours)
    return np.asarray(found[0] > 0.5)


def _quality(mask: NDArray[np.bool_], foreground: Array) -> float:
    """Expected IoU near a mask, if grey alone decided what is foreground."""
    if not mask.any():
        return 0.0
    box = bounding_box(mask, margin=SURROUNDINGS)
    within = np.where(mask[box], np.maximum(foreground[box], 0.5), np.minimum(foreground[box], 0.5 - 1e-6))
    return expected_iou(within)
