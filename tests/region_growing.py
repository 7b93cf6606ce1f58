"""Predictors without a network, whose answers can be told beforehand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit

from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.predictors.zoom import Square, SquareAnswer, ZoomPolicy, ZoomPredictor
from edgeflow_med.propagation.blend import signed_distance
from edgeflow_med.propagation.carry import draw

BRIGHT = 0.5


class RegionGrower(ZoomPredictor):
    """Pixels brighter than 0.5 that hang together with a positive prompt or, without one, with the previous mask.

    Negative prompts are cut out. The edge is as strong as the contrast between inside and outside.

    Attributes:
        squares: What :meth:`infer` was asked, in order: image, previous state, guidance.
        requests: How many slices were answered.
    """

    name, version, device = "region-growing", "1", "cpu"

    def __init__(self, policy: ZoomPolicy | None = None) -> None:
        super().__init__(policy)
        self.squares: list[tuple[Square, Square, Square]] = []
        self.requests = 0

    def predict(self, request: SliceRequest) -> Prediction:
        self.requests += 1
        return super().predict(request)

    def infer(self, image: Square, previous: Square, guidance: Square) -> SquareAnswer:
        self.squares.append((image, previous, guidance))
        seeds = guidance[0] > 0
        if not seeds.any():
            seeds = previous[0] >= 0.5
        regions, _ = ndimage.label(image > BRIGHT)
        touched = np.unique(regions[seeds])
        mask = np.isin(regions, touched[touched > 0]) & ~(guidance[1] > 0)
        contrast = abs(np.median(image[mask]) - np.median(image[~mask])) if 0 < mask.mean() < 1 else 0.0
        outline = ndimage.binary_dilation(mask) & ~ndimage.binary_erosion(mask, border_value=1)
        return SquareAnswer(np.where(mask, 0.97, 0.001).astype(np.float32), (outline * contrast).astype(np.float32))


class Follower:
    """Draws what it is given a pixel larger, unsure of all of it: tissue in which no outline shows."""

    name, version, device = "follower", "1", "cpu"

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, request: SliceRequest) -> Prediction:
        self.asked += 1
        assert request.previous is not None
        distance = signed_distance(request.previous.mask) + 1
        edge = draw(request.previous.mask).edge
        return Prediction(expit(distance / np.where(distance > 0, 16, 1)).astype(np.float32), edge, 0.8)


def disk(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    """Pixels within ``radius`` of ``centre``."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(np.hypot(rows - centre[0], columns - centre[1]) <= radius)


def picture(mask: NDArray[np.bool_], inside: float = 0.9, outside: float = 0.1) -> NDArray[np.float32]:
    """An image that shows a mask."""
    return np.where(mask, inside, outside).astype(np.float32)


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max(1, (one | other).sum()))
