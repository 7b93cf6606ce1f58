"""Seeds: what a reader's strokes show of the segment and of its surroundings; for methods that nobody trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon2mask

from edgeflow_med import metrics
from edgeflow_med.predictors.base import Prediction, Stroke
from edgeflow_med.predictors.crop import densify, stamp
from edgeflow_med.predictors.obey import enlarged

Mask = NDArray[np.bool_]

COLOUR_RADIUS = 2.0
FRAME_SHARE = 0.1
CLEARANCE_SHARE = 0.15


@dataclass(frozen=True, eq=False)
class Seeds:
    """What the reader showed.

    Attributes:
        positive: ``(H, W)`` pixels under positive strokes: foreground for certain.
        negative: ``(H, W)`` pixels under negative strokes and outside regions: background for certain.
        positive_sample: ``(H, W)`` pixels that show what the foreground looks like: those, and 2 pixels around clicks;
            without a positive stroke the inside of a region (box, lasso).
        negative_sample: ``(H, W)`` the same for the background. As long as there is no negative stroke, a weak guess:
            the slice's border region, 10 % of its sides wide, less what lies within 15 % of its shorter side of a
            positive stroke.
    """

    positive: Mask
    negative: Mask
    positive_sample: Mask
    negative_sample: Mask

    @property
    def background(self) -> Mask:
        """``(H, W)`` background for certain or, as long as nothing is known for certain, the weak guess."""
        return self.negative if self.negative.any() else self.negative_sample


def read_seeds(strokes: Sequence[Stroke], shape: tuple[int, int]) -> Seeds:
    """Seeds from clicks, scribbles and regions."""
    regions = [stroke for stroke in strokes if stroke.closed]
    lines = [stroke for stroke in strokes if not stroke.closed]
    positive, negative = paint(lines, shape, 0.5)
    positive_sample, negative_sample = paint(lines, shape, COLOUR_RADIUS)
    for region in regions:
        outside = ~enlarged(region, shape) & ~positive
        negative |= outside
        negative_sample |= outside
        if not positive.any():
            positive_sample |= polygon2mask(shape, np.asarray(region.points)) & ~negative
    if not negative.any():
        negative_sample = _border(shape)
        if positive.any():
            away = ndimage.distance_transform_edt(~positive) > CLEARANCE_SHARE * min(shape)
            negative_sample &= away
    return Seeds(positive, negative, positive_sample, negative_sample)


def paint(strokes: Iterable[Stroke], shape: tuple[int, int], click_radius: float) -> tuple[Mask, Mask]:
    """Pixels under the positive and under the negative strokes, each ``(H, W)``.

    A scribble is as wide as it was drawn; a click is a disk. Where both signs lie, the later one counts.
    """
    painted = np.zeros((2, *shape), np.float32)
    for stroke in strokes:
        radius = max(stroke.width / 2, 0.5) if stroke.width > 0 else click_radius
        mark = np.zeros(shape, np.float32)
        for centre in densify(list(stroke.points)):
            stamp(mark, centre, radius)
        sign = 0 if stroke.positive else 1
        painted[sign][mark > 0] = 1.0
        painted[1 - sign][mark > 0] = 0.0
    return painted[0] > 0, painted[1] > 0


def reached(mask: Mask, seeds: Seeds) -> Mask:
    """The connected pieces (face neighbours) of a mask that a positive stroke touches; all if there is none."""
    if not seeds.positive.any():
        return mask
    pieces, _ = ndimage.label(mask)
    touched = np.unique(pieces[seeds.positive & mask])
    return np.isin(pieces, touched[touched > 0])


def certain(mask: Mask, quality: float = 0.0) -> Prediction:
    """The answer of a method that gives a mask and no probability; quality 0 means that it has no opinion on it."""
    return Prediction(mask.astype(np.float32), metrics.outline(mask).astype(np.float32), quality)


def _border(shape: tuple[int, int]) -> Mask:
    border = np.ones(shape, bool)
    rows, columns = (max(1, round(FRAME_SHARE * n)) for n in shape)
    border[rows:-rows, columns:-columns] = False
    return border
