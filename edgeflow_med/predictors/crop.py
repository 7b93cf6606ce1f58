"""From a slice to the network's square input, and back.

A crop is a square in millimetres, so the network always sees square pixels whatever the spacing. Resampling along one
axis is a matrix product with a triangle filter, widened when the crop shrinks so that nothing aliases.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from edgeflow_med.predictors.base import Stroke

CLICK_RADIUS = 5
OUTLINE_RADIUS = 2.0
MIN_STROKE_RADIUS, MAX_STROKE_RADIUS = 2.0, 8.0


def triangle_filter(source: int, start: float, step: float, target: int) -> NDArray[np.float32]:
    """Matrix ``(target, source)`` that samples ``target`` pixels of width ``step``, the first beginning at ``start``.

    Source pixel ``n`` spans ``[n - 0.5, n + 0.5]``; beyond the source everything is zero.
    """
    if target == 0:  # a crop between two rows of a slice whose rows are far apart
        return np.zeros((0, source), np.float32)
    centres = start + (np.arange(target) + 0.5) * step
    reach = max(step, 1.0)
    margin = int(np.ceil(reach)) + 1
    low, high = int(np.floor(centres[0])) - margin, int(np.ceil(centres[-1])) + margin
    weights = np.maximum(0.0, 1.0 - np.abs(centres[:, None] - np.arange(low, high + 1)[None]) / reach)
    weights /= weights.sum(axis=1, keepdims=True)
    inside = slice(max(0, -low), max(0, source - low))
    matrix = np.zeros((target, source), np.float32)
    first = max(low, 0)
    kept = weights[:, inside]
    matrix[:, first : first + kept.shape[1]] = kept
    return matrix


@dataclass(frozen=True)
class Crop:
    """A square of the slice, ``size`` x ``size`` pixels at the network.

    Attributes:
        start: Row and column (slice pixels) of the crop's upper left corner; pixel 0 begins at -0.5.
        step: Slice pixels per network pixel, along rows and columns.
        size: Side in network pixels.
        shape: ``(H, W)`` of the slice.
    """

    start: tuple[float, float]
    step: tuple[float, float]
    size: int
    shape: tuple[int, int]

    @classmethod
    def around(
        cls, centre: tuple[float, float], side: float, size: int, shape: tuple[int, int], spacing: tuple[float, float]
    ) -> Crop:
        """A crop about ``centre`` (slice pixels), ``side`` finest pixels wide, moved inside the slice where it fits."""
        finest = min(spacing)
        starts, steps = [], []
        for middle, length, mm in zip(centre, shape, spacing, strict=True):
            extent = side * finest / mm
            start = middle - extent / 2
            inside = min(max(start, -0.5), length - 0.5 - extent)
            start = inside if extent <= length else (length - extent - 1) / 2  # a crop larger than the slice is centred
            starts.append(start)
            steps.append(extent / size)
        return cls((starts[0], starts[1]), (steps[0], steps[1]), size, shape)

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> Crop:
        """A square slice as it is, pixel for pixel."""
        return cls((-0.5, -0.5), (1.0, 1.0), shape[0], shape)

    @property
    def side(self) -> float:
        """Side of the crop in pixels of the slice's finer axis."""
        return self.size * max(self.step)

    @property
    def region(self) -> tuple[slice, slice]:
        """Rows and columns of the slice that the crop's pixels are made of."""
        spans = []
        for length, start, step in zip(self.shape, self.start, self.step, strict=True):
            reach = max(step, 1.0) + 1
            low, high = int(np.floor(start - reach)), int(np.ceil(start + self.size * step + reach))
            spans.append(slice(min(max(low, 0), length), min(max(high, 0), length)))
        return spans[0], spans[1]

    def extract(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        """``(H, W)`` -> ``(size, size)`` float32; zero outside the slice."""
        return self.extract_region(image[self.region])

    def extract_region(self, part: NDArray[np.generic]) -> NDArray[np.float32]:
        """The same from the part of the slice in :attr:`region`, which is all that it needs."""
        rows, columns = (
            triangle_filter(span.stop - span.start, start - span.start, step, self.size)
            for span, start, step in zip(self.region, self.start, self.step, strict=True)
        )
        return rows @ part.astype(np.float32, copy=False) @ columns.T

    def paste(self, patch: NDArray[np.float32], background: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resample ``(size, size)`` onto the pixels of ``background (H, W)`` that lie in the crop; the rest is kept."""
        result = background.copy()
        pad = int(np.ceil(1.0 / min(self.step))) + 1  # as far as the filter reaches
        spans, filters = [], []
        for axis in (0, 1):
            low = max(0, int(np.ceil(self.start[axis])))
            high = min(self.shape[axis], int(np.floor(self.start[axis] + self.size * self.step[axis])) + 1)
            step = 1.0 / self.step[axis]
            # The centre of slice pixel n lies at (n - start) / step - 0.5 in network pixels; edges repeat outwards.
            first = (low - self.start[axis]) * step - 0.5 - step / 2 + pad
            filters.append(triangle_filter(self.size + 2 * pad, first, step, high - low))
            spans.append(slice(low, high))
        result[spans[0], spans[1]] = filters[0] @ np.pad(patch, pad, mode="edge") @ filters[1].T
        return result

    def to_patch(self, point: tuple[float, float]) -> tuple[float, float]:
        """Slice pixel (row, column) -> network pixel."""
        row, column = ((v - s) / t - 0.5 for v, s, t in zip(point, self.start, self.step, strict=True))
        return row, column


def draw_prompts(strokes: Iterable[Stroke], crop: Crop) -> NDArray[np.float32]:
    """Strokes -> ``(2, size, size)`` float32 guidance: positive, negative.

    A click is a disk of radius 5 network pixels, as published; a scribble is a stroke of its own width. The outline of
    a region is negative: what is wanted lies inside it.
    """
    guidance = np.zeros((2, crop.size, crop.size), np.float32)
    for stroke in strokes:
        points = [crop.to_patch(point) for point in stroke.points]
        radius = float(CLICK_RADIUS)
        if stroke.closed:
            points, radius = [*points, points[0]], OUTLINE_RADIUS
        elif stroke.width > 0:
            radius = float(np.clip(stroke.width / 2 / min(crop.step), MIN_STROKE_RADIUS, MAX_STROKE_RADIUS))
        for centre in densify(points):
            stamp(guidance[0 if stroke.positive and not stroke.closed else 1], centre, radius)
    return guidance


def fill_regions(strokes: Iterable[Stroke], crop: Crop) -> NDArray[np.float32]:
    """The inside of all closed strokes, ``(size, size)`` float32: a first guess of the mask."""
    filled = np.zeros((crop.size, crop.size), bool)
    for stroke in strokes:
        if stroke.closed:
            filled |= polygon2mask(filled.shape, [crop.to_patch(point) for point in stroke.points])
    return filled.astype(np.float32)


def densify(points: list[tuple[float, float]]) -> Iterable[tuple[float, float]]:
    """Points along a polyline, at most one pixel apart."""
    yield points[0]
    for (r0, c0), (r1, c1) in pairwise(points):
        steps = max(1, int(np.ceil(max(abs(r1 - r0), abs(c1 - c0)))))
        for n in range(1, steps + 1):
            yield r0 + (r1 - r0) * n / steps, c0 + (c1 - c0) * n / steps


def stamp(channel: NDArray[np.float32], centre: tuple[float, float], radius: float) -> None:
    """Set a disk to 1, in place; what falls outside the channel is dropped."""
    height, width = channel.shape
    top, bottom = int(np.floor(centre[0] - radius)), int(np.ceil(centre[0] + radius)) + 1
    left, right = int(np.floor(centre[1] - radius)), int(np.ceil(centre[1] + radius)) + 1
    top, left, bottom, right = max(top, 0), max(left, 0), min(bottom, height), min(right, width)
    if top >= bottom or left >= right:
        return
    rows, columns = np.ogrid[top:bottom, left:right]
    disk = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2
    channel[top:bottom, left:right][disk] = 1.0
