"""What an answer and the image under it say about whether the structure is still there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edgeflow_med.predictors.base import Prediction

RIM = (2, 6)  # pixels outside the outline between which the surroundings are measured
LEAST_SPREAD = 0.05  # of windowed values inside: below, tissue would count as changed by noise
LEAST_CONTRAST = 0.02


@dataclass(frozen=True)
class Look:
    """One answer on its slice.

    Attributes:
        area: Pixels of the mask.
        edge: See :func:`edge_agreement`.
        tissue: Median of the windowed image inside; 0 for an empty mask.
        spread: Standard deviation of the windowed image inside; 0 for an empty mask.
        contrast: Mean inside minus mean of a rim outside; 0 for an empty mask.
    """

    area: int
    edge: float
    tissue: float
    spread: float
    contrast: float

    @classmethod
    def of(cls, answer: Prediction, image: NDArray[np.float32]) -> Self:
        """Measure an answer on its slice ``(H, W)`` in [0, 1]."""
        mask = answer.mask
        if not mask.any():
            return cls(0, 0.0, 0.0, 0.0, 0.0)
        inside = image[mask]
        near, far = (ndimage.binary_dilation(mask, iterations=n) for n in RIM)
        rim = image[far & ~near]
        contrast = float(inside.mean() - rim.mean()) if rim.size else 0.0
        return cls(int(mask.sum()), edge_agreement(answer), float(np.median(inside)), float(inside.std()), contrast)


@dataclass(frozen=True)
class Evidence:
    """One step of propagation, seen from the slice before and from the slice that the reader annotated.

    Attributes:
        area: Pixels of the mask.
        growth: Area of the network's answer over that of the mask on the slice before.
        consent: Dice of the network's answer with the mask that was carried to it.
        edge: Edge along the outline over that of the annotated slice.
        tissue: Difference of the median inside from that of the annotated slice, in its standard deviations.
        contrast: Contrast with the surroundings over that of the annotated slice; negative if it is reversed.
        quality: IoU that the network expects.
        drift: Sum of ``1 - consent`` over the run so far: how much has been changed since the annotated slice.
    """

    area: int
    growth: float
    consent: float
    edge: float
    tissue: float
    contrast: float
    quality: float
    drift: float


def edge_agreement(prediction: Prediction) -> float:
    """Mean edge probability along the outline of the mask, the largest within a pixel of it; 0 for an empty mask.

    A mask that fills the slice has no outline to disagree with: 1.
    """
    mask = prediction.mask
    outline = mask & ~ndimage.binary_erosion(mask, border_value=1)
    if not outline.any():
        return float(mask.any())
    return float(ndimage.maximum_filter(prediction.edge, 3)[outline].mean())


def weigh(answer: Prediction, carried: Prediction, before: Look, now: Look, start: Look, drift: float) -> Evidence:
    """Compare one step with the slice before and with the annotated slice.

    Args:
        answer: The network's.
        carried: What it was given.
        before: The look of the slice before.
        now: The look of what is to stand on the slice.
        start: The look of the annotated slice.
        drift: Of the step before; 0 on the annotated slice.
    """
    contrast = start.contrast if abs(start.contrast) > LEAST_CONTRAST else np.copysign(LEAST_CONTRAST, start.contrast)
    consent = dice(answer.mask, carried.mask)
    return Evidence(
        area=now.area,
        growth=int(answer.mask.sum()) / max(before.area, 1),
        consent=consent,
        edge=now.edge / max(start.edge, 1e-3),
        tissue=abs(now.tissue - start.tissue) / max(start.spread, LEAST_SPREAD),
        contrast=float(now.contrast / contrast),
        quality=answer.quality,
        drift=drift + 1 - consent,
    )


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice of two masks; 1 if both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0
