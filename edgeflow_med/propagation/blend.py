"""Between two known slices: blend what comes from both sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit

from edgeflow_med.predictors.base import Prediction

STEEPNESS = 2.0  # pixels over which a blended outline is soft
TRUST = 8.0  # power of the expected Dice in the weight of a run


def blend(one: Prediction, other: Prediction, expected: tuple[float, float], position: float) -> Prediction:
    """Blend the answers of two runs on a slice, by distance and by how good each is expected to be.

    Args:
        one: Of the run from the first known slice.
        other: Of the run from the second.
        expected: Dice that each is expected to reach.
        position: 0 at the first known slice, 1 at the second.
    """
    weights = (1 - position) * max(expected[0], 1e-3) ** TRUST, position * max(expected[1], 1e-3) ** TRUST
    share = weights[1] / sum(weights)
    if one.mask.any() and other.mask.any():
        probability = between(one.mask, other.mask, share)
    else:
        probability = ((1 - share) * one.probability + share * other.probability).astype(np.float32)
    edge = ((1 - share) * one.edge + share * other.edge).astype(np.float32)
    return Prediction(probability, edge, (1 - share) * one.quality + share * other.quality)


def between(one: NDArray[np.bool_], other: NDArray[np.bool_], position: float) -> NDArray[np.float32]:
    """Shape-based interpolation of two masks ``(H, W)``, neither of them empty, as a probability.

    Signed distances are interpolated (Raya and Udupa, IEEE Trans. Med. Imaging 1990), the centres of mass brought
    together before, so that a structure that leans is followed.

    Args:
        one: At position 0.
        other: At position 1.
        position: Where to interpolate.
    """
    centres = [np.array(ndimage.center_of_mass(mask)) for mask in (one, other)]
    centre = (1 - position) * centres[0] + position * centres[1]
    distances = [
        ndimage.shift(signed_distance(mask), centre - own, order=1, mode="nearest")
        for mask, own in zip((one, other), centres, strict=True)
    ]
    distance = (1 - position) * distances[0] + position * distances[1]
    return np.asarray(expit(distance / STEEPNESS), np.float32)


def signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pixels to the outline of a mask, positive inside."""
    inside, outside = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)
    return np.where(mask, inside - 0.5, 0.5 - outside)
