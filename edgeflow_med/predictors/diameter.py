"""What measured lines say about an answer.

Nothing of a structure is longer than its longest diameter. With the axis across it, as for WHO and RANO, the two are
those of an ellipse that is a better start than none.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from edgeflow_med.measurements import convex_corners, farthest_pair, row_ends
from edgeflow_med.predictors.base import Stroke
from edgeflow_med.predictors.obey import BACKGROUND
from edgeflow_med.predictors.strokes import TRIM

Probability = NDArray[np.float32]
LONGER = 0.05  # share by which an answer may be longer than the line: its ends are set by hand
MOST = 3.0  # logits by which an answer is made smaller to fit
HALVINGS = 6  # of MOST, until the shift is found


def measured(strokes: Iterable[Stroke]) -> Stroke | None:
    """The longest measured line; a second, shorter one is the axis across it."""
    return max((s for s in strokes if s.diameter > 0), key=lambda line: line.diameter, default=None)


def keep_to_diameter(
    probability: Probability, strokes: tuple[Stroke, ...], spacing: tuple[float, float]
) -> Probability:
    """Make an answer no longer than the longest of the measured lines among its prompts.

    What lies farther from an end of the line than the line is long becomes background. If what is left is too long in
    some direction, all logits sink until it is not, by ``MOST`` at the most. Nothing happens without a line, or where a
    positive prompt lies out of its reach: then it was not the longest diameter.

    Args:
        probability: ``(H, W)`` in [0, 1].
        strokes: All prompts on the slice.
        spacing: Millimetres between rows and between columns.
    """
    line = measured(strokes)
    if line is None:
        return probability
    near = within_reach(line, (probability.shape[0], probability.shape[1]), spacing)
    wanted = np.rint([point for s in strokes if s.positive for point in s.points]).astype(int)
    rows, columns = np.clip(wanted, 0, np.subtract(near.shape, 1)).T
    if not near[rows, columns].all():
        return probability
    kept = np.where(near, probability, np.minimum(probability, BACKGROUND))
    allowed = line.diameter * (1 + LONGER) + 1
    if longest(kept >= 0.5, spacing) <= allowed:
        return kept
    low, high = 0.0, MOST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if longest(kept >= expit(middle), spacing) <= allowed else (middle, high)
    return expit(logit(kept) - high)


def crossed(strokes: Iterable[Stroke]) -> tuple[Stroke, Stroke] | None:
    """The longest measured line and the newest of the others that crosses it; None if there are no two such lines."""
    lines = [stroke for stroke in strokes if stroke.diameter > 0]
    axis = measured(lines)
    if axis is None:
        return None
    along = ends_of(axis)
    crossing = (line for line in reversed(lines) if line is not axis and _cross(along, ends_of(line)))
    across = next(crossing, None)
    return None if across is None else (axis, across)


def ellipse(axis: Stroke, across: Stroke, shape: tuple[int, int], spacing: tuple[float, float]) -> NDArray[np.bool_]:
    """Pixels ``(H, W)`` of the ellipse about two measured lines: as long as the one, as wide as the other."""
    scale = np.asarray(spacing) / min(spacing)
    along, side = ends_of(axis) * scale, ends_of(across) * scale
    forward = (along[1] - along[0]) / axis.diameter
    sideways = np.array([-forward[1], forward[0]])
    middle = along.mean(0) + sideways * ((side.mean(0) - along.mean(0)) @ sideways)
    away = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) * scale - middle
    semi = np.maximum([axis.diameter / 2, across.diameter / 2], 0.5)
    return np.asarray((away @ forward / semi[0]) ** 2 + (away @ sideways / semi[1]) ** 2 <= 1)


def within_reach(line: Stroke, shape: tuple[int, int], spacing: tuple[float, float]) -> NDArray[np.bool_]:
    """Pixels ``(H, W)`` no farther from either end of a measured line than it is long, give or take a pixel.

    All of a segment lies there if the line is its longest diameter.
    """
    scale = np.asarray(spacing) / min(spacing)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    near = np.ones(shape, bool)
    for row, column in ends_of(line):
        near &= np.hypot((rows - row) * scale[0], (columns - column) * scale[1]) <= line.diameter + 1
    return near


def ends_of(line: Stroke) -> NDArray[np.float64]:
    """Both ends ``(2, 2)`` of a measured line (row, column), as it was measured."""
    kept = np.asarray(line.points, np.float64)
    middle = kept.mean(0)
    return middle + (kept - middle) / (1 - 2 * TRIM)


def _cross(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two lines ``(2, 2)`` cross, each a tenth longer than it is: a hand may have stopped short."""
    try:
        places = np.linalg.solve(np.stack([one[1] - one[0], other[0] - other[1]], 1), other[0] - one[0])
    except np.linalg.LinAlgError:  # parallel
        return False
    return bool(np.all(np.abs(places - 0.5) <= 0.55))


def longest(mask: NDArray[np.bool_], spacing: tuple[float, float]) -> float:
    """The greatest distance of two pixel centres of a mask, over gaps too, in pixels of the finer axis."""
    if not mask.any():
        return 0.0
    return farthest_pair(convex_corners(row_ends(mask) * np.asarray(spacing) / min(spacing)))[1]
