"""Carry mask and edge from slice to slice, with brakes.

The same network answers every slice: the neighbour's mask and edge are its "previous answer", the slice's own image
corrects them. A generator, so progress and cancelling come for free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edgeflow_med.predictors.base import Prediction, Predictor, SliceRequest


class Stop(StrEnum):
    """Why propagation went no further."""

    ENDED = "the structure ends"
    CHANGED = "the outline changes too much from one slice to the next"
    TISSUE = "the tissue inside the outline changes"
    EDGE = "mask and edge disagree"
    UNSURE = "the network is too unsure"
    REACHED = "a slice the reader annotated is reached"
    RANGE = "the range limit is reached"
    VOLUME = "the volume ends"


@dataclass(frozen=True)
class Brakes:
    """When to stop.

    ``tissue`` was chosen on eight validation volumes of the training sets (it stopped wrongly on 1 of 32 steps inside a
    tumour and rightly on 5 of 32 steps out of one); the other values are by judgement.

    Attributes:
        shrink: Stop as ended below this ratio of the area to the neighbour's.
        grow: Stop as changed above this ratio.
        overlap: Stop as changed below this Dice with the neighbour's mask.
        tissue: Stop if the median windowed intensity inside the mask differs by more from that of the annotated slice.
        edge: Stop below this mean edge probability along the outline, relative to that of the annotated slice.
        quality: Stop below this expected IoU.
        smallest: Stop as ended below this many pixels.
    """

    shrink: float = 0.2
    grow: float = 2.5
    overlap: float = 0.4
    tissue: float = 0.1
    edge: float = 0.35
    quality: float = 0.6
    smallest: int = 4


@dataclass(frozen=True, eq=False)
class SliceStep:
    """One slice that propagation looked at.

    Attributes:
        index: Number of the slice along the plane's axis.
        direction: -1 or +1.
        prediction: The answer; None if the slice was not segmented (a brake, or nothing left to look at).
        stop: Why it went no further, on the last step of each direction; else None.
    """

    index: int
    direction: int
    prediction: Prediction | None
    stop: Stop | None = None


def edge_agreement(prediction: Prediction) -> float:
    """Mean edge probability along the outline of the mask, the largest within a pixel of it; 0 for an empty mask."""
    mask = prediction.mask
    outline = mask & ~ndimage.binary_erosion(mask, border_value=1)
    if not outline.any():
        return 0.0
    return float(ndimage.maximum_filter(prediction.edge, 3)[outline].mean())


@dataclass(frozen=True)
class Reference:
    """What the annotated slice says about the structure: edge along its outline, median intensity inside."""

    edge: float
    tissue: float

    @classmethod
    def of(cls, prediction: Prediction, image: NDArray[np.float32]) -> Reference:
        """Measure an answer on its slice."""
        inside = image[prediction.mask]
        return cls(edge_agreement(prediction), float(np.median(inside)) if inside.size else 0.0)


def brake(new: Prediction, old: Prediction, seen: Reference, reference: Reference, brakes: Brakes) -> Stop | None:
    """Which brake an answer triggers, given its neighbour's answer and what it and the annotated slice measure."""
    area, before = int(new.mask.sum()), int(old.mask.sum())
    if area < brakes.smallest or area < brakes.shrink * before:
        return Stop.ENDED
    dice = 2 * int((new.mask & old.mask).sum()) / (area + before)
    if area > brakes.grow * before or dice < brakes.overlap:
        return Stop.CHANGED
    if abs(seen.tissue - reference.tissue) > brakes.tissue:
        return Stop.TISSUE
    if seen.edge < brakes.edge * reference.edge:
        return Stop.EDGE
    if new.quality < brakes.quality:
        return Stop.UNSURE
    return None


def propagate(  # noqa: PLR0913 - what walks, where, and one keyword per limit
    predictor: Predictor,
    image: Callable[[int], NDArray[np.float32]],
    count: int,
    start: int,
    prediction: Prediction,
    *,
    spacing: tuple[float, float] = (1.0, 1.0),
    limit: int | None = None,
    anchors: frozenset[int] = frozenset(),
    brakes: Brakes | None = None,
) -> Iterator[SliceStep]:
    """Walk away from an annotated slice in both directions.

    Args:
        predictor: Answers each slice.
        image: Gives the windowed slice ``(H, W)`` of a number.
        count: How many slices there are.
        start: The annotated slice.
        prediction: Its answer.
        spacing: Millimetres between rows and columns.
        limit: At most this many slices in each direction.
        anchors: Slices never to be touched; propagation stops before them.
        brakes: When to stop.

    Yields:
        One step per slice segmented, and for each direction a last one that says why it stopped.
    """
    brakes = brakes or Brakes()
    reference = Reference.of(prediction, image(start))
    for direction in (-1, 1):
        before = prediction
        index = start + direction
        while True:
            stop = _no_further(index, start, count, limit, anchors)
            if stop is None:
                seen = image(index)
                answer = predictor.predict(SliceRequest(seen, spacing, (), before, propagated=True))
                stop = brake(answer, before, Reference.of(answer, seen), reference, brakes)
            if stop is not None:
                yield SliceStep(index, direction, None, stop)
                break
            yield SliceStep(index, direction, answer)
            before, index = answer, index + direction


def _no_further(index: int, start: int, count: int, limit: int | None, anchors: frozenset[int]) -> Stop | None:
    if not 0 <= index < count:
        return Stop.VOLUME
    if index in anchors:
        return Stop.REACHED
    if limit is not None and abs(index - start) > limit:
        return Stop.RANGE
    return None
