"""Where the network looks: crop around what is known, answer, look again if the answer asks for another crop.

Small lesions are seen at native resolution or magnified, large organs are seen whole. Everything here is numpy; a
backend only answers one square.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit, logit

from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.predictors.crop import Crop, draw_prompts, fill_regions
from edgeflow_med.predictors.diameter import crossed, ellipse, keep_to_diameter, measured
from edgeflow_med.predictors.obey import BACKGROUND, obey

Square = NDArray[np.float32]
FEW = 2  # negative prompts on a slice that a network can be trusted with
MOST_GIVEN_BACK = 1.0  # logits
ROUND_A_LINE = 1.4  # side of the crop at a measured line, over its length
SURE = 0.9  # of the ellipse about two measured lines
SEEN = 1.05  # side of a crop over what it must hold


class SquareAnswer(NamedTuple):
    """What a backend says about one square.

    Attributes:
        probability: Of the mask, ``(S, S)`` in [0, 1].
        edge: Of the outline, ``(S, S)`` in [0, 1].
        quality: IoU that the network expects of its mask; None if it has no opinion.
    """

    probability: Square
    edge: Square
    quality: float | None = None


@dataclass(frozen=True)
class ZoomPolicy:
    """How crops are chosen, and what is made of the answers; lengths are in pixels of the slice's finer axis.

    Attributes:
        size: Side of the network's input.
        first_side: Side of the crop at a first click, when nothing is known of the object's size.
        expansion: Side of the crop over the longer side of the object, once it is known.
        smallest_side: No crop is smaller.
        tolerance: A first answer stands if the crop it asks for differs by less than this factor.
        give_back: Logits that each negative prompt on the slice beyond the second adds to the mask, up to
            ``MOST_GIVEN_BACK``; see :meth:`ZoomPredictor._give_back`.
    """

    size: int = 256
    first_side: float = 192.0
    expansion: float = 1.8
    smallest_side: float = 32.0
    tolerance: float = 1.5
    give_back: float = 0.0


class ZoomPredictor(ABC):
    """A predictor that answers squares; this class turns slices into squares and back.

    Attributes:
        policy: How crops are chosen.
        brakes: What the model's bundle says of when propagation stops; empty if nothing.
    """

    def __init__(self, policy: ZoomPolicy | None = None) -> None:
        self.policy = policy or ZoomPolicy()
        self.brakes: Mapping[str, Any] = {}

    @abstractmethod
    def infer(self, image: Square, previous: Square, guidance: Square) -> SquareAnswer:
        """Answer one square.

        Args:
            image: ``(S, S)`` in [0, 1].
            previous: ``(2, S, S)`` mask and edge probability of the last answer, or zeros.
            guidance: ``(2, S, S)`` positive and negative prompts.
        """

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        request = _begun_by_axes(request)
        crop = self._first_crop(request)
        probability, edge, quality = self._answer(request, crop)
        for _ in range(2):  # once to fit the object, once more if it still runs out of the crop
            better = self._better_crop(request, crop, probability)
            if better is None:
                break
            crop = better
            probability, edge, quality = self._answer(request, crop)
        probability = self._give_back(request, probability)
        if request.previous is None:  # a correction may go beyond what was measured
            probability = keep_to_diameter(probability, request.strokes, request.spacing)
        obeyed = obey(probability, request.image, request.spacing, request.strokes)
        if request.excluded is not None:
            obeyed[request.excluded] = np.minimum(obeyed[request.excluded], BACKGROUND)
        return Prediction(obeyed, edge, expected_iou(obeyed) if quality is None else quality)

    def _answer(self, request: SliceRequest, crop: Crop) -> SquareAnswer:
        previous = np.zeros((2, crop.size, crop.size), np.float32)
        if request.previous is not None:
            previous[0] = crop.extract(request.previous.probability)
            previous[1] = crop.extract(request.previous.edge)
        else:
            previous[0] = fill_regions(request.strokes, crop)
        axes = crossed(request.strokes)  # the one across has told how wide it is; as a stroke it would widen the answer
        guidance = draw_prompts([s for s in request.strokes if axes is None or s is not axes[1]], crop)
        if request.excluded is not None:
            exclude(guidance, crop.extract(request.excluded) >= 0.5)
        probability, edge, quality = self.infer(crop.extract(request.image), previous, guidance)
        empty = np.zeros(request.image.shape, np.float32)
        return SquareAnswer(crop.paste(probability, empty), crop.paste(widen(edge, crop), empty), quality)

    def _give_back(self, request: SliceRequest, probability: Square) -> Square:
        """Make up for negative prompts that together take away too much.

        Networks learn from dialogues of a few prompts. After many, each negative one goes on to shrink the whole mask,
        until small structures have melted; the prompts themselves are obeyed afterwards. Measured in
        ``docs/explanation/edgeflow.md``.
        """
        negative = sum(not stroke.positive for stroke in request.strokes)
        shift = min(self.policy.give_back * (negative - FEW), MOST_GIVEN_BACK)
        if request.previous is None or shift <= 0:
            return probability
        return expit(logit(probability) + np.float32(shift))

    def _first_crop(self, request: SliceRequest) -> Crop:
        known = request.previous.mask if request.previous is not None else None
        if known is not None and known.any():
            return self._crop_about(request, known)
        (row, column), side = self._first_look(request)
        points = np.array([p for s in request.strokes for p in s.points]).reshape(-1, 2)
        reach = np.abs(points - (row, column)) * request.spacing / min(request.spacing)  # every prompt is to be seen
        return self._crop(request, (row, column), max(side, SEEN * 2 * float(reach.max(initial=0))))

    def _first_look(self, request: SliceRequest) -> tuple[tuple[float, float], float]:
        """Middle and side of the crop that prompts ask for: of the size they tell, else that of a click."""
        regions = np.array([p for s in request.strokes if s.closed for p in s.points]).reshape(-1, 2)
        if len(regions):  # drawn round the object, so its size is known
            low, high = regions.min(0), regions.max(0)
            extent = (high - low) * request.spacing / min(request.spacing)
            middle = (low + high) / 2
            return (middle[0], middle[1]), float(extent.max()) * self.policy.expansion
        line = measured(request.strokes)
        if line is not None:
            middle = np.mean(line.points, axis=0)
            return (middle[0], middle[1]), line.diameter * ROUND_A_LINE
        points = np.array([p for s in request.strokes for p in s.points]).reshape(-1, 2)
        if len(points) == 0:
            points = np.array(request.image.shape)[None] / 2
        positive = np.array([p for s in request.strokes if s.positive for p in s.points])
        positive = positive if len(positive) else points
        centre = (positive.min(0) + positive.max(0)) / 2
        extent = np.ptp(points, axis=0) * request.spacing / min(request.spacing)
        return (centre[0], centre[1]), max(self.policy.first_side, float(extent.max()) * self.policy.expansion)

    def _better_crop(self, request: SliceRequest, crop: Crop, probability: Square) -> Crop | None:
        """The crop that the answer asks for, or None if the one it was given is good enough."""
        mask = probability >= 0.5
        if not mask.any():
            return None
        wanted = self._crop_about(request, mask)
        if runs_out(mask, crop):
            grown = self._crop(request, self._centre(mask), max(wanted.side, 1.6 * crop.side))
            return grown if grown.side > 1.05 * crop.side else None
        first = request.previous is None or not request.previous.mask.any()
        return wanted if first and crop.side > self.policy.tolerance * wanted.side else None

    def _crop_about(self, request: SliceRequest, mask: NDArray[np.bool_]) -> Crop:
        """A crop about a mask and this slice's prompts."""
        known = mask.copy()
        for stroke in request.strokes:
            for row, column in stroke.points:
                if 0 <= round(row) < mask.shape[0] and 0 <= round(column) < mask.shape[1]:
                    known[round(row), round(column)] = True
        rows, columns = np.flatnonzero(known.any(1)), np.flatnonzero(known.any(0))
        finest = min(request.spacing)
        height = (rows[-1] - rows[0] + 1) * request.spacing[0] / finest
        width = (columns[-1] - columns[0] + 1) * request.spacing[1] / finest
        return self._crop(request, self._centre(known), max(height, width) * self.policy.expansion)

    @staticmethod
    def _centre(mask: NDArray[np.bool_]) -> tuple[float, float]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        return (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2

    def _crop(self, request: SliceRequest, centre: tuple[float, float], side: float) -> Crop:
        height, width = request.image.shape
        whole = max(height * request.spacing[0], width * request.spacing[1]) / min(request.spacing)
        side = float(np.clip(side, self.policy.smallest_side, max(whole, self.policy.smallest_side)))
        return Crop.around(centre, side, self.policy.size, (height, width), request.spacing)


def _begun_by_axes(request: SliceRequest) -> SliceRequest:
    """Where the newest prompt completes a cross of measured lines, what was there gives way to their ellipse."""
    axes = crossed(request.strokes)
    if axes is None or request.strokes[-1] not in axes:
        return request
    shape = (request.image.shape[0], request.image.shape[1])
    mask = ellipse(*axes, shape, request.spacing)
    start = Prediction(np.where(mask, SURE, 0).astype(np.float32), np.zeros(shape, np.float32), 0.5)
    return replace(request, previous=start, propagated=False)


def exclude(guidance: Square, others: NDArray[np.bool_]) -> None:
    """Draw other segments ``(S, S)`` as negative guidance, in place; not up to their outline, and not over a prompt."""
    guidance[1][ndimage.binary_erosion(others, iterations=3) & (guidance[0] == 0)] = 1.0


def widen(edge: Square, crop: Crop) -> Square:
    """The largest value over the extent of a slice pixel.

    The network draws outlines two of its own pixels wide, whatever the zoom. Averaged over slice pixels, those of
    small, magnified structures would fade, and propagation would stop where a structure merely gets smaller.
    """
    return ndimage.maximum_filter(edge, [max(1, round(1 / step)) for step in crop.step])


def runs_out(mask: NDArray[np.bool_], crop: Crop) -> bool:
    """Whether a mask touches a border of the crop that is not a border of the slice."""
    for axis, profile in enumerate((mask.any(1), mask.any(0))):
        filled = np.flatnonzero(profile)
        low, high = crop.start[axis], crop.start[axis] + crop.size * crop.step[axis]
        margin = 1.5 * max(crop.step[axis], 1.0)
        if (filled[0] < low + margin and low > 0) or (filled[-1] > high - margin and high < mask.shape[axis] - 1):
            return True
    return False


def expected_iou(probability: Square) -> float:
    """IoU that a mask thresholded at 0.5 is expected to reach if the probabilities are calibrated.

    The ratio of expected intersection to expected union; 1 minus the largest probability for an empty mask.
    """
    mask = probability >= 0.5
    if not mask.any():
        return 1.0 - float(probability.max())
    union = float(mask.sum()) + float(probability[~mask].sum())
    return float(probability[mask].sum()) / union
