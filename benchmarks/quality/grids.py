"""Small things on pixel grids that several adapters need."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeflow_med import metrics
from edgeflow_med.predictors.base import Stroke
from edgeflow_med.predictors.crop import densify, stamp

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


def resample(image: Array, shape: tuple[int, int]) -> Array:
    """Bilinear with pixel areas aligned, smoothed where it shrinks."""
    picture = Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.array(picture.resize(shape[::-1], Image.Resampling.BILINEAR), np.float32)  # Pillow's own is read-only


def outline(mask: Mask) -> Array:
    """Edge map of a method that has none: the outline of its mask."""
    return metrics.outline(mask).astype(np.float32)


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
