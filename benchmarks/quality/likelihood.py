"""Scribble likelihood: weighted likelihoods of the features under the strokes, then a graph cut.

The article that EdgeFlow is compared with names *Maximizing Weight Likelihood of Interactively Scribed Foreground and
Background Features* (attributed to Reddy, Gevers and Ghosh, 2021), which could not be found: this is what the title
says, in our own words, and no claim about that work. Each feature of a pixel (grey; smoothed grey, gradient and
Laplacian at three scales; place) has a Gaussian density under the positive and one under the negative strokes. Their
log ratios are added with weights: those, none of them negative, with which the strokes themselves are most likely,
both sides counting the same. Relatives: Wang et al., *Pairwise Likelihood Learning*, IJCAI 2017; Asad et al., ECONet,
MIDL 2022; Protiere and Sapiro 2006.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from benchmarks.quality.graphcut import PEER as GRAPH_CUT
from benchmarks.quality.grids import Array
from benchmarks.quality.peer import LastEncoding, Peer
from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.predictors.graphcut import bake, cut, load_maxflow
from edgeflow_med.predictors.seeds import Mask, certain, reached, read_seeds

SCALES = (0.5, 1.0, 2.0)  # pixels
SPREAD = 0.3  # least standard deviation of a feature under strokes, in its standard deviations over the slice
STEADY = 1.0  # ridge that keeps the weights near one per number of features
CERTAIN = 8.0  # log ratios beyond this say no more
MOST = 2000  # pixels per side that the weights are fitted to

PEER = Peer(
    name="scribble_likelihood",
    title="scribble likelihood",
    code_licence="Apache-2.0",
    weights_licence="",
    parameters=0.0,
    megabytes=0.2,
    prompts=("scribbles",),
    seen="no: learns from the strokes alone",
    package=GRAPH_CUT.package,
    shares=GRAPH_CUT.name,
    adapts="ours after a title, see its file; without a negative stroke the border region of the slice is background",
)


class ScribbleLikelihood:
    """The predictor."""

    name = PEER.name
    version = PEER.version
    device = "cpu"

    def __init__(self, threads: int | None = None) -> None:  # noqa: ARG002  numpy's own
        with PEER.on_path():
            load_maxflow()
        self._features = LastEncoding(features)

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        seeds = read_seeds(request.strokes, (request.image.shape[0], request.image.shape[1]))
        if not seeds.positive.any():
            return certain(np.zeros(request.image.shape, bool))
        ratio = weighted_ratio(self._features.of(request), seeds.positive_sample, seeds.negative_sample)
        foreground = 1 / (1 + np.exp(-ratio.clip(-CERTAIN, CERTAIN)))
        return certain(reached(cut(request.image, bake(np.stack([1 - foreground, foreground]), seeds)), seeds))


def features(image: Array) -> NDArray[np.float64]:
    """``(F, H, W)``, each with mean 0 and deviation 1 over the slice."""
    channels = [image, *np.indices(image.shape, np.float32)]
    for scale in SCALES:
        channels += [
            ndimage.gaussian_filter(image, scale),
            ndimage.gaussian_gradient_magnitude(image, scale),
            ndimage.gaussian_laplace(image, scale),
        ]
    stack = np.stack(channels).astype(np.float64)
    stack -= stack.mean(axis=(1, 2), keepdims=True)
    return np.asarray(stack / np.maximum(stack.std(axis=(1, 2), keepdims=True), 1e-6))


def weighted_ratio(channels: NDArray[np.float64], positive: Mask, negative: Mask) -> NDArray[np.float64]:
    """Weighted log ratio of the densities under positive and negative strokes, ``(H, W)``."""
    ratios = np.zeros_like(channels)
    for sample, sign in ((positive, 1), (negative, -1)):
        shown = channels[:, sample]
        middle, spread = shown.mean(1)[:, None, None], np.maximum(shown.std(1), SPREAD)[:, None, None]
        ratios -= sign * (((channels - middle) / spread) ** 2 / 2 + np.log(spread))
    ratios = ratios.clip(-CERTAIN, CERTAIN)
    weights = likeliest_weights(ratios[:, positive], ratios[:, negative])
    return np.asarray(np.tensordot(weights, ratios, 1))


def likeliest_weights(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights ``(F,)``, none negative, with which the strokes' pixels are most likely on their side.

    Args:
        positive: ``(F, P)`` log ratios under positive strokes.
        negative: ``(F, N)`` under negative ones.
    """
    sides = [side[:, :: max(1, side.shape[1] // MOST)] * sign for side, sign in ((positive, 1), (negative, -1))]
    usual = np.full(len(positive), 1 / len(positive))

    def cost(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, slope = STEADY * float(((weights - usual) ** 2).sum()), 2 * STEADY * (weights - usual)
        for side in sides:
            margin = weights @ side
            value += float(np.logaddexp(0, -margin).mean())
            slope -= (side / (1 + np.exp(margin))).mean(axis=1)
        return value, slope

    found = optimize.minimize(cost, usual, jac=True, bounds=[(0, None)] * len(usual), method="L-BFGS-B")
    return np.asarray(found.x)
