"""Superpixels in a conditional random field, in the spirit of Vezhnevets, Ferrari and Buhmann.

*Weakly supervised structured output learning for semantic segmentation*, CVPR 2012, is not interactive: it learns
from labels of whole images. What is kept of it is how a picture is labelled: superpixels (SLIC), an appearance model
of extremely randomised trees, and a Potts field over neighbouring superpixels. What the trees learn from is what the
reader's strokes cover. The cut runs on pixels whose grey is their superpixel's mean: within a superpixel the links
are strongest and all pixels want the same, so that none is split, and two neighbours are linked by the length of
their common border.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import slic

from benchmarks.quality.graphcut import PEER as GRAPH_CUT
from benchmarks.quality.grids import Array
from benchmarks.quality.peer import LastEncoding, Peer
from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.predictors.graphcut import bake, cut, load_maxflow
from edgeflow_med.predictors.seeds import Seeds, certain, reached, read_seeds

PIXELS_PER_SUPERPIXEL = 20
MOST = 8000
COMPACTNESS = 0.2
SCALE = 1.0  # pixels
TREES = 100

PEER = Peer(
    name="superpixels",
    title="superpixel CRF (after Vezhnevets et al.)",
    code_licence="BSD-3-Clause",
    weights_licence="",
    parameters=0.0,
    megabytes=0.2,
    prompts=("scribbles",),
    seen="no: learns from the strokes alone",
    package=GRAPH_CUT.package,
    shares=GRAPH_CUT.name,
    extra=("benchmarks", "sklearn"),
    adapts="made interactive: the trees learn from the superpixels under strokes; the border stands in for negatives",
)


class Parts(NamedTuple):
    """A slice in superpixels: their numbers ``(H, W)`` from 0, features ``(N, F)``, and the picture of their means."""

    numbers: NDArray[np.int_]
    features: NDArray[np.float64]
    means: Array


class Superpixels:
    """The predictor."""

    name = PEER.name
    version = PEER.version
    device = "cpu"

    def __init__(self, threads: int | None = None) -> None:
        with PEER.on_path():
            load_maxflow()
        self._threads = threads or 1
        self._parts = LastEncoding(divide)

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        seeds = read_seeds(request.strokes, (request.image.shape[0], request.image.shape[1]))
        if not seeds.positive.any():
            return certain(np.zeros(request.image.shape, bool))
        parts = self._parts.of(request)
        foreground = self._learn(parts, seeds)[parts.numbers]
        mask = cut(parts.means, bake(np.stack([1 - foreground, foreground]), seeds))
        return certain(reached(mask, seeds))

    def _learn(self, parts: Parts, seeds: Seeds) -> NDArray[np.float64]:
        """Probability of foreground of each superpixel."""
        from sklearn.ensemble import ExtraTreesClassifier

        shown = [np.unique(parts.numbers[sample]) for sample in (seeds.negative_sample, seeds.positive_sample)]
        rows = np.concatenate(shown)
        wanted = np.repeat([0, 1], [len(part) for part in shown])
        trees = ExtraTreesClassifier(TREES, class_weight="balanced", random_state=0, n_jobs=self._threads)
        trees.fit(parts.features[rows], wanted)
        answers = trees.predict_proba(parts.features)
        return answers[:, list(trees.classes_).index(1)].clip(0.01, 0.99)


def divide(image: Array) -> Parts:
    """Superpixels of a slice, and of each: grey, its spread, smoothed grey, and gradient."""
    count = min(MOST, max(2, image.size // PIXELS_PER_SUPERPIXEL))
    numbers = slic(image, count, COMPACTNESS, sigma=1.0, channel_axis=None, start_label=0)
    index = np.arange(numbers.max() + 1)

    def mean(channel: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(ndimage.mean(channel, numbers, index))

    grey = mean(image)
    columns = [
        grey,
        np.asarray(ndimage.standard_deviation(image, numbers, index)),
        mean(ndimage.gaussian_filter(image, SCALE)),
        mean(ndimage.gaussian_gradient_magnitude(image, SCALE)),
    ]
    return Parts(numbers, np.stack(columns, axis=1), grey[numbers].astype(np.float32))
