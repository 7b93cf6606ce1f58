"""What a reader drew on a volume -> strokes on one of its slices; also how each kind of prompt is drawn in training."""

from __future__ import annotations

from math import hypot

from edgeflow_med.predictors.base import Stroke
from edgeflow_med.prompts import Box, Lasso, Line, Prompt, Scribble

Pixel = tuple[float, float]
TRIM = 0.08  # share of a measured line left out at either end: its ends lie on the outline, not inside


def stroke_of(prompt: Prompt, axis: int, spacing: tuple[float, float]) -> Stroke:
    """A prompt in pixels of its slice.

    Args:
        prompt: All its points lie on one slice across ``axis``.
        axis: The index axis (0 = k, 1 = j, 2 = i) that steps through the slices.
        spacing: Millimetres between rows and between columns of the slice.
    """
    points = [on_slice(point, axis) for point in prompt.points]
    if isinstance(prompt, Box):
        return box_stroke(points[0], points[1])
    if isinstance(prompt, Lasso):
        return Stroke(tuple(points), closed=True)
    if isinstance(prompt, Line):
        return line_stroke(points[0], points[1], spacing)
    width = prompt.width_mm / min(spacing) if isinstance(prompt, Scribble) else 0.0
    return Stroke(tuple(points), prompt.positive, width)


def on_slice(point: tuple[float, float, float], axis: int) -> Pixel:
    """Voxel index (k, j, i) -> (row, column) on a slice across ``axis``."""
    row, column = (float(v) for a, v in enumerate(point) if a != axis)
    return row, column


def box_stroke(corner: Pixel, opposite: Pixel) -> Stroke:
    """A box from two opposite corners, whose pixels belong to it."""
    (top, bottom), (left, right) = (sorted(pair) for pair in zip(corner, opposite, strict=True))
    top, left, bottom, right = top - 0.5, left - 0.5, bottom + 0.5, right + 0.5
    return Stroke(((top, left), (top, right), (bottom, right), (bottom, left)), closed=True)


def box_corners(stroke: Stroke) -> tuple[Pixel, Pixel]:
    """The upper left and the lower right pixel of a closed stroke, for methods that know boxes alone."""
    rows, columns = zip(*stroke.points, strict=True)
    return (min(rows) + 0.5, min(columns) + 0.5), (max(rows) - 0.5, max(columns) - 0.5)


def line_stroke(start: Pixel, end: Pixel, spacing: tuple[float, float] = (1.0, 1.0)) -> Stroke:
    """A line measured from outline to outline: a positive stroke that keeps off both ends."""
    (r0, c0), (r1, c1) = start, end
    dr, dc = TRIM * (r1 - r0), TRIM * (c1 - c0)
    length = hypot((r1 - r0) * spacing[0], (c1 - c0) * spacing[1]) / min(spacing)
    return Stroke(((r0 + dr, c0 + dc), (r1 - dr, c1 - dc)), diameter=length)
