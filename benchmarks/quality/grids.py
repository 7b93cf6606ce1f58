"""Small things on pixel grids that several adapters need."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeflow_med import metrics

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


def resample(image: Array, shape: tuple[int, int]) -> Array:
    """Bilinear with pixel areas aligned, smoothed where it shrinks."""
    picture = Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.array(picture.resize(shape[::-1], Image.Resampling.BILINEAR), np.float32)  # Pillow's own is read-only


def outline(mask: Mask) -> Array:
    """Edge map of a method that has none: the outline of its mask."""
    return metrics.outline(mask).astype(np.float32)
