"""GrabCut: Rother, Kolmogorov and Blake, *GrabCut: interactive foreground extraction using iterated graph cuts*, 2004.

Mixtures of five Gaussians for either side and a minimum cut, in turns.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.quality.grids import Mask
from benchmarks.quality.peer import Package, Peer
from edgeflow_med.predictors.base import Prediction, SliceRequest, Stroke
from edgeflow_med.predictors.seeds import CLEARANCE_SHARE, Seeds, certain, reached, read_seeds
from edgeflow_med.predictors.strokes import box_corners

ITERATIONS = 5

PEER = Peer(
    name="grabcut",
    title="GrabCut (OpenCV)",
    code_licence="Apache-2.0",
    weights_licence="",
    parameters=0.0,
    megabytes=0.0,
    prompts=("scribbles", "box"),
    seen="no: nothing is trained",
    package=Package(
        registry="pypi",
        name="opencv-python-headless",
        version="5.0.0.93",
        sha256="ed709fdf9aa0bd1f2ed8549e71d19449b03a675bb581eb292285f6861953be37",  # of the wheel for Linux on x86-64
    ),
    adapts=(
        "a scribble without a box starts from the last answer, or from a disc about it of 15 % of the slice; "
        "only pieces that a positive stroke touches are kept"
    ),
)


class GrabCut:
    """The predictor."""

    name = PEER.name
    version = PEER.version
    device = "cpu"

    def __init__(self, threads: int | None = None) -> None:
        with PEER.on_path():
            self._opencv: Any = importlib.import_module("cv2")
        self._opencv.setNumThreads(threads or -1)

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        shape = (request.image.shape[0], request.image.shape[1])
        box = next((s for s in reversed(request.strokes) if s.closed), None)
        seeds = read_seeds([s for s in request.strokes if not s.closed], shape)
        if box is None and not seeds.positive.any():
            return certain(np.zeros(shape, bool))
        grey = np.rint(request.image * 255).astype(np.uint8)
        labels = self._start(request, seeds, box)
        cv2 = self._opencv
        cv2.setRNGSeed(0)  # its mixtures start from a random clustering; the same request gets the same answer
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(np.dstack([grey] * 3), labels, None, *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
        mask = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
        return certain(reached(mask, seeds) if box is None else mask)

    def _start(self, request: SliceRequest, seeds: Seeds, box: Stroke | None) -> NDArray[np.uint8]:
        """OpenCV's labels to start from: certain and probable foreground and background."""
        cv2 = self._opencv
        labels = np.full(request.image.shape, cv2.GC_PR_BGD, np.uint8)
        if box is not None:
            labels[:] = cv2.GC_BGD
            (top, left), (bottom, right) = box_corners(box)
            labels[round(top) : round(bottom) + 1, round(left) : round(right) + 1] = cv2.GC_PR_FGD
        elif request.previous is not None and request.previous.mask.any():
            labels[request.previous.mask] = cv2.GC_PR_FGD
        else:
            labels[_near(seeds.positive)] = cv2.GC_PR_FGD
        labels[seeds.negative] = cv2.GC_BGD
        labels[seeds.positive] = cv2.GC_FGD
        return labels


def _near(positive: Mask) -> Mask:
    near: Mask = ndimage.distance_transform_edt(~positive) <= CLEARANCE_SHARE * min(positive.shape)
    return near
