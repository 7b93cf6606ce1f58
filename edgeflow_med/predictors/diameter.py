"""What a measured line says about an answer: nothing of a structure is longer than its longest diameter."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.predictors.base import Stroke
from edgeflow_med.predictors.obey import MARGIN
from edgeflow_med.predictors.strokes import TRIM

Probability = NDArray[np.float32]
LONGER = 0.05  # share by which an answer may be longer than the line: its ends are set by hand
MOST = 3.0  # logits by which an answer is made smaller to fit
HALVINGS = 6  # of MOST, until the shift is found
TURNS = 48  # directions in which a mask's width is taken; the widest falls short of the diameter by less than 0.1 %


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
    kept = np.where(near, probability, np.minimum(probability, sigmoid(-MARGIN)))
    allowed = line.diameter * (1 + LONGER) + 1
    if longest(kept >= 0.5, spacing) <= allowed:
        return kept
    low, high = 0.0, MOST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if longest(kept >= sigmoid(middle), spacing) <= allowed else (middle, high)
    return shifted(kept, -high)


def within_reach(line: Stroke, shape: tuple[int, int], spacing: tuple[float, float]) -> NDArray[np.bool_]:
    """Pixels ``(H, W)`` no farther from either end of a measured line than it is long, give or take a pixel.

    All of a segment lies there if the line is its longest diameter.
    """
    ends = np.asarray(line.points)
    middle = ends.mean(0)
    scale = np.asarray(spacing) / min(spacing)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    near = np.ones(shape, bool)
    for row, column in middle + (ends - middle) / (1 - 2 * TRIM):
        near &= np.hypot((rows - row) * scale[0], (columns - column) * scale[1]) <= line.diameter + 1
    return near


def longest(mask: NDArray[np.bool_], spacing: tuple[float, float]) -> float:
    """The greatest distance of two pixel centres of a mask, over gaps too, in pixels of the finer axis."""
    rows = np.flatnonzero(mask.any(1))
    if not rows.size:
        return 0.0
    first, last = mask[rows].argmax(1), mask.shape[1] - 1 - mask[rows, ::-1].argmax(1)
    points = np.stack([np.tile(rows, 2), np.concatenate([first, last])], 1) * spacing / min(spacing)
    angles = np.arange(TURNS) * np.pi / TURNS
    return float(np.ptp(points @ np.stack([np.sin(angles), np.cos(angles)]), axis=0).max())


def shifted(probability: Probability, logits: float) -> Probability:
    """A probability with its logit moved."""
    odds = np.float32(np.exp(logits)) * probability
    return odds / (odds + 1 - probability)


def sigmoid(logit: float) -> float:
    """The probability of a logit."""
    return 1 / (1 + float(np.exp(-logit)))
