"""Seeds for methods that need to be shown both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from benchmarks.quality.grids import Mask, paint
from edgeflow_med.predictors.base import Stroke

COLOUR_RADIUS = 2.0
FRAME_SHARE = 0.1
CLEARANCE_SHARE = 0.15


@dataclass(frozen=True, eq=False)
class Seeds:
    """What the reader showed.

    Attributes:
        positive: ``(H, W)`` pixels under positive strokes: foreground for certain.
        negative: ``(H, W)`` pixels under negative strokes: background for certain.
        positive_sample: ``(H, W)`` pixels that show what the foreground looks like: those, and 2 pixels around clicks.
        negative_sample: ``(H, W)`` the same for the background. As long as there is no negative stroke, a weak guess:
            the slice's border region, 10 % of its sides wide, less what lies within 15 % of its shorter side of a
            positive stroke.
    """

    positive: Mask
    negative: Mask
    positive_sample: Mask
    negative_sample: Mask


def read_seeds(strokes: Sequence[Stroke], shape: tuple[int, int]) -> Seeds:
    """Seeds from clicks and scribbles; boxes are not understood."""
    positive, negative = paint(strokes, shape, 0.5)
    positive_sample, negative_sample = paint(strokes, shape, COLOUR_RADIUS)
    if not negative.any():
        negative_sample = _border(shape)
        if positive.any():
            away = ndimage.distance_transform_edt(~positive) > CLEARANCE_SHARE * min(shape)
            negative_sample &= away
    return Seeds(positive, negative, positive_sample, negative_sample)


def reached(mask: Mask, seeds: Seeds) -> Mask:
    """The connected pieces (face neighbours) of a mask that a positive stroke touches."""
    pieces, _ = ndimage.label(mask)
    touched = np.unique(pieces[seeds.positive & mask])
    return np.isin(pieces, touched[touched > 0])


def _border(shape: tuple[int, int]) -> Mask:
    border = np.ones(shape, bool)
    rows, columns = (max(1, round(FRAME_SHARE * n)) for n in shape)
    border[rows:-rows, columns:-columns] = False
    return border
