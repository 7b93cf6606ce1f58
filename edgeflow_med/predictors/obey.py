"""Every prompt is obeyed: a closed-form correction where the network disagrees with the reader."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from skimage.draw import polygon2mask

from edgeflow_med.predictors.base import Stroke
from edgeflow_med.predictors.crop import densify

MARGIN = 0.5  # logit at a corrected pixel: probability 0.62 or 0.38
BACKGROUND = float(expit(-MARGIN))  # most that a pixel may get that certainly does not belong to the segment
REACH = 3.0  # pixels (of the finer axis) over which a correction fades
SLACK = 0.1  # share of a region's size by which the answer may leave it: boxes are drawn by hand
LIKENESS = 0.08  # difference in windowed intensity over which it fades
COMPANIONS = 4  # of the eight neighbours of a corrected pixel, the most alike, that go with it whatever the noise


def voxels(stroke: Stroke, shape: tuple[int, int]) -> list[tuple[int, int]]:
    """The pixels on a stroke's line that lie on the slice, each once, in order."""
    pixels = dict.fromkeys((round(row), round(column)) for row, column in densify(list(stroke.points)))
    return [(r, c) for r, c in pixels if 0 <= r < shape[0] and 0 <= c < shape[1]]


def obey(
    probability: NDArray[np.float32],
    image: NDArray[np.float32],
    spacing: tuple[float, float],
    strokes: Iterable[Stroke],
) -> NDArray[np.float32]:
    """Make a probability agree with all strokes, the newest last.

    Where it already agrees nothing changes. Elsewhere the logit is moved to the right side at the pixel, and around it
    as far as the image looks alike (a bilateral weight). The most alike neighbours always go with it, so that the
    correction is a small patch and not a lone pixel, and a positive one beside the answer is joined to it. Outside the
    region of a closed stroke, a little enlarged, the answer is background.

    Args:
        probability: ``(H, W)`` in [0, 1].
        image: ``(H, W)`` windowed, in [0, 1].
        spacing: Millimetres between rows and columns.
        strokes: Oldest first.

    Returns:
        A corrected copy.
    """
    shape = (image.shape[0], image.shape[1])
    result = probability.copy()
    lines: list[tuple[list[tuple[int, int]], bool]] = []
    for stroke in strokes:
        if stroke.closed:
            outside = ~enlarged(stroke, shape)
            result[outside] = np.minimum(result[outside], BACKGROUND)
        else:
            lines.append((voxels(stroke, shape), stroke.positive))
    for line, positive in lines:
        for pixel in line:
            if (result[pixel] >= 0.5) != positive:
                _move(result, image, spacing, pixel, positive)
    for line, positive in lines:  # a later patch may have covered an earlier pixel of the other sign
        for pixel in line:
            if (result[pixel] >= 0.5) != positive:
                result[pixel] = expit(MARGIN if positive else -MARGIN)
    return result


def enlarged(stroke: Stroke, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels inside a closed stroke that is stretched about its middle, by at least a pixel on each side."""
    points = np.asarray(stroke.points, np.float64)
    middle = (points.min(0) + points.max(0)) / 2
    half = np.maximum(np.ptp(points, axis=0) / 2, 0.5)
    return polygon2mask(shape, middle + (points - middle) * (1 + np.maximum(SLACK, 1 / half)))


def _move(
    result: NDArray[np.float32],
    image: NDArray[np.float32],
    spacing: tuple[float, float],
    pixel: tuple[int, int],
    positive: bool,
) -> None:
    """Move the logits around one pixel, in place."""
    finest = min(spacing)
    reach = [int(np.ceil(3 * REACH * finest / mm)) for mm in spacing]
    window = tuple(
        slice(max(0, p - n), min(length, p + n + 1)) for p, n, length in zip(pixel, reach, image.shape, strict=True)
    )
    rows, columns = np.ogrid[window]
    squared = ((rows - pixel[0]) * spacing[0] / finest) ** 2 + ((columns - pixel[1]) * spacing[1] / finest) ** 2
    alike = (image[window] - image[pixel]) ** 2 / LIKENESS**2
    weight = np.exp(-0.5 * (squared / REACH**2 + alike))
    clipped = np.clip(result[window], 1e-4, 1 - 1e-4)
    logits = np.log(clipped / (1 - clipped))
    at_pixel = float(np.clip(result[pixel], 1e-4, 1 - 1e-4))
    move = (MARGIN if positive else -MARGIN) - np.log(at_pixel / (1 - at_pixel))
    moved = expit(logits + weight * move)
    known = result[window] >= 0.5
    result[window] = np.where(weight > 1e-3, moved, result[window])
    corner = (int(rows[0, 0]), int(columns[0, 0]))
    at = (pixel[0] - corner[0], pixel[1] - corner[1])
    patch = [at, *_most_alike(weight, at), *(_bridge(known, squared, at) if positive else [])]
    for row, column in patch:
        if (result[window][row, column] >= 0.5) != positive:
            result[window][row, column] = expit(MARGIN if positive else -MARGIN)
    result[pixel] = expit(MARGIN if positive else -MARGIN)


def _most_alike(weight: NDArray[np.float64], at: tuple[int, int]) -> list[tuple[int, int]]:
    """Those of the eight neighbours of a pixel that have the greatest weight."""
    around = [(at[0] + r, at[1] + c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c]
    inside = [(r, c) for r, c in around if 0 <= r < weight.shape[0] and 0 <= c < weight.shape[1]]
    return sorted(inside, key=lambda place: -weight[place])[:COMPANIONS]


def _bridge(known: NDArray[np.bool_], squared: NDArray[np.float64], at: tuple[int, int]) -> list[tuple[int, int]]:
    """The pixels from a pixel to the answer, where the gap between them is no wider than a correction reaches."""
    if not known.any() or squared[known].min() > (REACH + 1) ** 2:
        return []
    row, column = np.argwhere(known)[np.argmin(squared[known])].tolist()
    return voxels(Stroke((at, (row, column))), (known.shape[0], known.shape[1]))
