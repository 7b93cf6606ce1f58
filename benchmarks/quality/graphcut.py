"""Interactive graph cuts: Boykov and Jolly, *Interactive Graph Cuts for Optimal Boundary & Region Segmentation*, 2001.

Every pixel is a node. Neighbours are linked by ``lambda * exp(-(difference of grey)^2 / (2 sigma^2))``, and each pixel
to foreground and background by the negative log of how probable its grey makes the other one, from histograms of what
the reader showed of both. The minimum cut is the answer; pixels under a stroke cannot change sides.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks.quality.grids import Array, Mask, outline
from benchmarks.quality.peer import Package, Peer
from benchmarks.quality.seeds import Seeds, reached, read_seeds
from edgeflow_med.predictors.base import Prediction, SliceRequest

BINS = 64
SMOOTHING = 1.5  # bins
LAMBDA = 1.0
SIGMA = 0.1

PEER = Peer(
    name="graphcut",
    title="graph cut (Boykov-Jolly)",
    code_licence="BSD-3-Clause",
    weights_licence="",
    parameters=0.0,
    megabytes=0.2,
    prompts=("scribbles",),
    seen="no: nothing is trained",
    package=Package(
        registry="pypi",
        name="numpymaxflow",
        version="0.0.7",
        sha256="a1ca70c90d11ffeaa0ef9f173cf9093f8f0d7f3cd697340544dee01f4577fc34",
        source=True,
    ),
    adapts=(
        "without a negative stroke the border region of the slice is taken for background; "
        "only pieces that a positive stroke touches are kept"
    ),
)


class GraphCut:
    """The predictor."""

    name = PEER.name
    version = PEER.version
    device = "cpu"

    def __init__(self, threads: int | None = None) -> None:  # noqa: ARG002  the algorithm runs on one
        with PEER.on_path():
            library: Any = importlib.import_module("numpymaxflow")
        self._maxflow = library.maxflow

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        seeds = read_seeds(request.strokes, (request.image.shape[0], request.image.shape[1]))
        if not seeds.positive.any():
            return certain(np.zeros(request.image.shape, bool))
        likelihood = likelihoods(request.image, seeds)
        cut = self._maxflow(request.image[None], likelihood, LAMBDA, SIGMA, 4)[0]
        return certain(reached(cut > 0.5, seeds))


def likelihoods(image: Array, seeds: Seeds) -> Array:
    """Probability of background and of foreground, ``(2, H, W)``, from smoothed histograms; 0 and 1 under strokes."""
    grey = np.minimum((image * BINS).astype(int), BINS - 1)
    densities = []
    for sample in (seeds.negative_sample, seeds.positive_sample):
        counts = np.bincount(grey[sample], minlength=BINS).astype(np.float64)
        density = ndimage.gaussian_filter1d(counts, SMOOTHING, mode="constant")
        densities.append((density / max(density.sum(), 1.0) + 1e-3)[grey])
    both = np.stack(densities) / np.sum(densities, axis=0)
    both[:, seeds.positive] = np.array([[0.0], [1.0]])
    both[:, seeds.negative] = np.array([[1.0], [0.0]])
    return both.astype(np.float32)


def certain(mask: Mask) -> Prediction:
    """The answer of a method that gives a mask and no probability; it has no opinion on its quality."""
    return Prediction(mask.astype(np.float32), outline(mask), 0.0)
