"""Random walker: Grady, *Random Walks for Image Segmentation*, IEEE TPAMI 28(11), 2006, as in scikit-image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.segmentation import random_walker

from benchmarks.quality.grids import outline
from benchmarks.quality.peer import Peer
from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.predictors.seeds import certain, read_seeds

BETA = 1000.0
SIGMA = 1.0
FOREGROUND, BACKGROUND = 1, 2

PEER = Peer(
    name="random_walker",
    title="random walker (scikit-image)",
    code_licence="BSD-3-Clause",
    weights_licence="",
    parameters=0.0,
    megabytes=0.0,
    prompts=("scribbles",),
    seen="no: nothing is trained",
    adapts="smoothed first (sigma 1 pixel); without a negative stroke the border region of the slice is background",
)


class RandomWalker:
    """The predictor."""

    name = PEER.name
    version = PEER.version
    device = "cpu"

    def __init__(self, threads: int | None = None) -> None:
        """Nothing to load."""

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        seeds = read_seeds(request.strokes, (request.image.shape[0], request.image.shape[1]))
        labels = np.zeros(request.image.shape, np.int32)
        labels[seeds.background] = BACKGROUND
        labels[seeds.positive] = FOREGROUND
        if not seeds.positive.any() or not (labels == BACKGROUND).any():
            return certain(seeds.positive)
        smooth = ndimage.gaussian_filter(request.image, SIGMA)
        # Solved directly: iterations take up to thirty times as long where a single pixel is the only seed of a side.
        both = random_walker(smooth, labels, beta=BETA, mode="bf", return_full_prob=True)
        probability = np.clip(both[0], 0.0, 1.0).astype(np.float32)
        return Prediction(probability, outline(probability >= 0.5), 0.0)
