"""How well an answer agrees with a reference: overlap, pixel rates and distances between outlines.

All functions take two bool arrays of one shape, of any number of dimensions, and return a float. One rule covers empty
masks: two empty masks agree perfectly (overlaps and rates 1, distance 0); an empty mask and one that is not agree in
nothing (overlaps and rates 0, distance infinite).

The outline of a mask is its pixels with at least one face neighbour outside; beyond the array is outside. Distances
between outlines are taken between pixel centres, as MONAI's metrics do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edgeflow_med.errors import GeometryError

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Counts:
    """Pixels by what was answered and what is true."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


def count(answer: Mask, target: Mask) -> Counts:
    """Count the pixels of an answer by whether they are right.

    Raises:
        GeometryError: The masks differ in shape, or are not bool.
    """
    _check(answer, target)
    both, answered, true = int((answer & target).sum()), int(answer.sum()), int(target.sum())
    return Counts(both, answered - both, true - both, answer.size - answered - true + both)


def iou(answer: Mask, target: Mask) -> float:
    """Intersection over union (Jaccard index), 0 to 1."""
    c = count(answer, target)
    return _ratio(c.true_positive, c.true_positive + c.false_positive + c.false_negative)


def dice(answer: Mask, target: Mask) -> float:
    """Dice coefficient, 0 to 1; equals ``2 * iou / (1 + iou)``."""
    c = count(answer, target)
    return _ratio(2 * c.true_positive, 2 * c.true_positive + c.false_positive + c.false_negative)


def precision(answer: Mask, target: Mask) -> float:
    """Share of the answered pixels that are right, 0 to 1."""
    c = count(answer, target)
    if c.true_positive + c.false_positive == 0 and c.false_negative:
        return 0.0
    return _ratio(c.true_positive, c.true_positive + c.false_positive)


def recall(answer: Mask, target: Mask) -> float:
    """Share of the target's pixels that were answered (sensitivity), 0 to 1."""
    return precision(target, answer)


def accuracy(answer: Mask, target: Mask) -> float:
    """Share of all pixels that are right, 0 to 1.

    On a whole slice it is near 1 for any small target, whatever the answer; read it beside :func:`accuracy_near`.
    """
    _check(answer, target)
    return float(np.mean(answer == target))


def accuracy_near(answer: Mask, target: Mask, radius: float = 10.0) -> float:
    """Share of right pixels among those in the target or within ``radius`` pixels of it, 0 to 1.

    With an empty target there is no such pixel, and the general rule for empty masks applies.
    """
    _check(answer, target)
    if not target.any():
        return 0.0 if answer.any() else 1.0
    box = bounding_box(target, margin=int(np.ceil(radius)))
    near = ndimage.distance_transform_edt(~target[box]) <= radius
    return float(np.mean((answer[box] == target[box])[near]))


def hausdorff95(answer: Mask, target: Mask, spacing: Sequence[float] | None = None) -> float:
    """95th percentile of the distance between two outlines: the larger of the two directed percentiles.

    Args:
        answer: Mask of any number of dimensions.
        target: Mask of the same shape.
        spacing: Size of a pixel along each axis, in mm; None for a distance in pixels.
    """
    distances = _outline_distances(answer, target, spacing)
    if distances is None:
        return float("inf") if answer.any() or target.any() else 0.0
    return float(max(np.percentile(d, 95) for d in distances))


def surface_dice(answer: Mask, target: Mask, tolerance: float, spacing: Sequence[float] | None = None) -> float:
    """Normalised surface Dice: share of both outlines that lies within ``tolerance`` of the other one, 0 to 1.

    Nikolov et al., J. Med. Internet Res. 23(7):e26151, 2021; every outline pixel counts alike.

    Args:
        answer: Mask of any number of dimensions.
        target: Mask of the same shape.
        tolerance: Deviation that counts as none, in the unit of ``spacing``.
        spacing: Size of a pixel along each axis, in mm; None for pixels.
    """
    distances = _outline_distances(answer, target, spacing)
    if distances is None:
        return 0.0 if answer.any() or target.any() else 1.0
    within = sum(int((d <= tolerance).sum()) for d in distances)
    return within / sum(d.size for d in distances)


def slice_metrics(
    answer: Mask, target: Mask, *, tolerance: float, spacing: Sequence[float] | None = None
) -> dict[str, float]:
    """All measures of an answer on one slice.

    Args:
        answer: ``(H, W)`` mask.
        target: ``(H, W)`` mask.
        tolerance: For the surface Dice, in the unit of ``spacing``.
        spacing: Row and column spacing in mm, None for pixels.

    Returns:
        By name; an infinite distance (an empty answer) is replaced by the diagonal of the slice, the worst possible,
        so that means stay finite and an empty answer is never left out of them.
    """
    unit = np.ones(answer.ndim) if spacing is None else np.asarray(spacing, dtype=np.float64)
    diagonal = float(np.linalg.norm(np.asarray(answer.shape) * unit))
    return {
        "iou": iou(answer, target),
        "dice": dice(answer, target),
        "precision": precision(answer, target),
        "recall": recall(answer, target),
        "accuracy": accuracy(answer, target),
        "accuracy_near": accuracy_near(answer, target),
        "hd95": min(hausdorff95(answer, target, spacing), diagonal),
        "surface_dice": surface_dice(answer, target, tolerance, spacing),
    }


def outline(mask: Mask) -> Mask:
    """Pixels of a mask with a face neighbour outside it, same shape."""
    return mask & ~ndimage.binary_erosion(mask)


def bounding_box(mask: Mask, margin: int = 0) -> tuple[slice, ...]:
    """The smallest box around a mask's pixels, ``margin`` wider on every side, cut at the array's border.

    Returns:
        One slice per axis; empty slices for an empty mask.
    """
    box = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        hits = np.flatnonzero(mask.any(axis=others))
        low, high = (int(hits[0]) - margin, int(hits[-1]) + 1 + margin) if hits.size else (0, 0)
        box.append(slice(max(low, 0), min(high, mask.shape[axis])))
    return tuple(box)


def _outline_distances(
    answer: Mask, target: Mask, spacing: Sequence[float] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Distance of each outline pixel of one mask to the other's outline, both ways; None if a mask is empty."""
    _check(answer, target)
    if not answer.any() or not target.any():
        return None
    box = bounding_box(answer | target, margin=1)
    edges = [outline(answer)[box], outline(target)[box]]
    to_answer, to_target = (ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges)
    return to_target[edges[0]], to_answer[edges[1]]


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _check(answer: Mask, target: Mask) -> None:
    if answer.shape != target.shape or answer.dtype != np.bool_ or target.dtype != np.bool_:
        raise GeometryError(
            f"Cannot compare {answer.dtype} {answer.shape} with {target.dtype} {target.shape}; "
            "give two bool masks of one shape."
        )
