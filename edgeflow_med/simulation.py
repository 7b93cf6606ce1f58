"""Robot users: what a reader would click or draw next, given what is right and what was answered.

Every robot looks for the error that lies deepest (the pixel with the greatest distance to the border of the missed or
of the wrongly included region; the border of the image counts as one) and puts its next prompt there. They differ in
how:

- :class:`Clicks`: exactly on that pixel, as in the click literature (Xu et al. 2016; RITM, Sofiiuk et al. 2021).
- :class:`NoisyClicks`: somewhere around it, as a hand does.
- :class:`Scribbles`: a stroke through that region: along its centre line, wobbling across it, or beside its contour.

Two of them say on an empty slice how large the target is, and then click: :class:`Boxes` draws a box around it,
:class:`Lines` measures its longest diameter.

A robot keeps no state: the same seed, masks and history give the same prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric

from edgeflow_med.measurements import convex_corners, farthest_pair
from edgeflow_med.metrics import bounding_box
from edgeflow_med.predictors.base import Stroke
from edgeflow_med.predictors.strokes import box_stroke, line_stroke

Mask = NDArray[np.bool_]
Depth = NDArray[np.float64]
Pixel = tuple[int, int]
BOX_JITTER = 0.05  # of a box's sides, as a share of its length across them


@runtime_checkable
class RobotUser(Protocol):
    """A simulated reader."""

    def next_prompt(
        self, target: Mask, mask: Mask, history: Sequence[Stroke], spacing: tuple[float, float] = (1.0, 1.0)
    ) -> Stroke | None:
        """The next prompt.

        Args:
            target: ``(H, W)`` what the reader means.
            mask: ``(H, W)`` the present answer; empty before the first.
            history: The prompts given so far on this slice, oldest first.
            spacing: Row and column spacing in mm; only their ratio matters.

        Returns:
            A click or scribble, or None when nothing is wrong, or every wrong pixel has been pointed at already.
        """


@dataclass(frozen=True, eq=False)
class _Error:
    """A region to correct, cut out of the slice.

    Attributes:
        depth: ``(h, w)`` distance to the region's border in pixels of the finer axis, 0 outside the region.
        origin: Row and column of the cut-out on the slice.
        deepest: Row and column of the deepest pixel that no prompt has touched, within the cut-out.
        positive: The region was missed (else wrongly included).
        touched: Pixels of the cut-out that prompts have touched.
    """

    depth: Depth
    origin: Pixel
    deepest: Pixel
    positive: bool
    touched: frozenset[Pixel]

    def stroke(self, pixels: Sequence[Pixel], width: float = 0.0) -> Stroke:
        """A prompt through pixels of the cut-out."""
        row, column = self.origin
        return Stroke(tuple((float(r + row), float(c + column)) for r, c in pixels), self.positive, width)


@dataclass(frozen=True)
class Clicks:
    """Clicks on the deepest error pixel; of equally deep ones the missed region loses, then the first in row order.

    The tie goes as in RITM's published clicker, so that counts of clicks can be compared.
    """

    def next_prompt(
        self, target: Mask, mask: Mask, history: Sequence[Stroke], spacing: tuple[float, float] = (1.0, 1.0)
    ) -> Stroke | None:
        """See :class:`RobotUser`."""
        error = _deepest_error(target, mask, history, spacing)
        return None if error is None else error.stroke([error.deepest])


@dataclass(frozen=True)
class NoisyClicks:
    """Clicks scattered around the deepest error pixel, within the same error region.

    Attributes:
        seed: Of the scatter.
        scatter: Standard deviation of the offset along each axis, as a share of the region's depth there.
    """

    seed: int = 0
    scatter: float = 0.5

    def next_prompt(
        self, target: Mask, mask: Mask, history: Sequence[Stroke], spacing: tuple[float, float] = (1.0, 1.0)
    ) -> Stroke | None:
        """See :class:`RobotUser`."""
        error = _deepest_error(target, mask, history, spacing)
        if error is None:
            return None
        rng = np.random.default_rng([self.seed, len(history)])
        sigma = self.scatter * error.depth[error.deepest] * min(spacing) / np.asarray(spacing)
        draws = np.rint(error.deepest + rng.normal(0.0, 1.0, (64, 2)) * sigma).astype(int)
        for row, column in draws.tolist():
            inside = 0 <= row < error.depth.shape[0] and 0 <= column < error.depth.shape[1]
            if inside and error.depth[row, column] > 0 and (row, column) not in error.touched:
                return error.stroke([(row, column)])
        return error.stroke([error.deepest])


@dataclass(frozen=True)
class Scribbles:
    """Strokes through the region of the deepest error pixel, one of three kinds by turns of the seed.

    All are cheapest paths through the region, so they never leave it. *Centre line*: between two far ends, where depth
    is cheap. *Wobble*: between two random pixels, through a random smooth landscape. *Contour*: between two random
    pixels near the border, where the distance to it is even. A region too small for a stroke gets a click.

    Attributes:
        seed: Of the kind, the ends and the wobble.
        width: Greatest width of the pen in pixels of the finer axis; narrower where the region is thin.
    """

    seed: int = 0
    width: float = 3.0

    def next_prompt(
        self, target: Mask, mask: Mask, history: Sequence[Stroke], spacing: tuple[float, float] = (1.0, 1.0)
    ) -> Stroke | None:
        """See :class:`RobotUser`."""
        error = _deepest_error(target, mask, history, spacing)
        if error is None:
            return None
        rng = np.random.default_rng([self.seed, len(history)])
        draw = (_centre_line, _wobble, _contour)[int(rng.integers(3))]
        path = draw(error.depth, rng)
        if len(path) < 3:
            return error.stroke([error.deepest])
        # Depth counts to the first pixel centre outside, half a pixel beyond the border.
        thinnest = min(float(error.depth[pixel]) for pixel in path)
        return error.stroke(path, float(np.clip(2 * thinnest - 1, 1.0, self.width)))


@dataclass(frozen=True)
class Boxes:
    """A box around the target, then clicks.

    Attributes:
        seed: Of the jitter.
        jitter: Every side is moved by up to this share of the box's length across it, either way.
        corrects: Whether clicks follow; without, the box is all it has to say.
    """

    seed: int = 0
    jitter: float = BOX_JITTER
    corrects: bool = True

    def next_prompt(
        self, target: Mask, mask: Mask, history: Sequence[Stroke], spacing: tuple[float, float] = (1.0, 1.0)
    ) -> Stroke | None:
        """See :class:`RobotUser`."""
        if history or mask.any() or not target.any():
            return Clicks().next_prompt(target, mask, history, spacing) if self.corrects else None
        box = bounding_box(target)
        low = np.array([side.start for side in box], float)
        high = np.array([side.stop - 1 for side in box], float)
        reach = self.jitter * (high - low + 1)
        shifts = np.random.default_rng(self.seed).uniform(-1, 1, (2, 2)) * reach
        last = np.array(target.shape) - 1
        low, high = np.clip(low + shifts[0], 0, last), np.clip(high + shifts[1], 0, last)
        return box_stroke((float(low[0]), float(low[1])), (float(high[0]), float(high[1])))


@dataclass(frozen=True)
class Lines:
    """The longest diameter of the target's largest piece, measured from outline to outline as for RECIST; then clicks.

    Attributes:
        seed: Of the jitter.
        jitter: Standard deviation of the ends along each axis, as a share of the line's length.
    """

    seed: int = 0
    jitter: float = 0.03

    def next_prompt(
        self, target: Mask, mask: Mask, history: Sequence[Stroke], spacing: tuple[float, float] = (1.0, 1.0)
    ) -> Stroke | None:
        """See :class:`RobotUser`."""
        if history or mask.any() or not target.any():
            return Clicks().next_prompt(target, mask, history, spacing)
        pieces, _ = ndimage.label(target, np.ones((3, 3)))
        pixels = np.argwhere(pieces == np.bincount(pieces[pieces > 0]).argmax())
        unit = np.asarray(spacing) / min(spacing)
        corners = convex_corners(pixels * unit)
        ends, length = farthest_pair(
            corners[np.lexsort(corners.T[::-1])]
        )  # of equally long ones the first in row order
        scatter = np.random.default_rng(self.seed).normal(0, self.jitter * length, (2, 2))
        (r0, c0), (r1, c1) = np.clip((ends + scatter) / unit, 0, np.array(target.shape) - 1).tolist()
        return line_stroke((r0, c0), (r1, c1), spacing)


@dataclass(frozen=True)
class RobotKind:
    """How to make a robot user from a seed, and how many interactions its first prompt counts as."""

    make: Callable[[int], RobotUser]
    interactions: int = 1


TWO_POINTS = 2
"""Interactions that a box or a line counts as: it is drawn with two clicks."""
ROBOTS: Mapping[str, RobotKind] = {
    "clicks": RobotKind(lambda _seed: Clicks()),
    "noisy": RobotKind(NoisyClicks),
    "scribbles": RobotKind(Scribbles),
    "boxes": RobotKind(Boxes, TWO_POINTS),
    "lines": RobotKind(Lines, TWO_POINTS),
}
"""The robot users by name."""


def _deepest_error(target: Mask, mask: Mask, history: Sequence[Stroke], spacing: tuple[float, float]) -> _Error | None:
    """The connected error region with the deepest untouched pixel, None if there is none."""
    missed = _deepest_region(target & ~mask, True, history, spacing)
    wrong = _deepest_region(mask & ~target, False, history, spacing)
    if missed is None or wrong is None:
        return missed or wrong
    return missed if missed.depth[missed.deepest] > wrong.depth[wrong.deepest] else wrong


def _deepest_region(
    errors: Mask, positive: bool, history: Sequence[Stroke], spacing: tuple[float, float]
) -> _Error | None:
    if not errors.any():
        return None
    box = bounding_box(errors)
    origin = (box[0].start, box[1].start)
    padded = np.pad(errors[box], 1)  # all outside the box, the image's border too, counts as the region's border
    depth: Depth = ndimage.distance_transform_edt(padded, sampling=np.asarray(spacing) / min(spacing))[1:-1, 1:-1]
    points = [(round(r) - origin[0], round(c) - origin[1]) for stroke in history for r, c in stroke.points]
    touched = frozenset((r, c) for r, c in points if 0 <= r < depth.shape[0] and 0 <= c < depth.shape[1])
    untouched = depth.copy()
    for pixel in touched:
        untouched[pixel] = 0.0
    deepest = _pixel_of_maximum(untouched)
    if untouched[deepest] == 0.0:
        return None
    labels, _ = ndimage.label(depth > 0, np.ones((3, 3)))
    return _Error(np.where(labels == labels[deepest], depth, 0.0), origin, deepest, positive, touched)


def _centre_line(depth: Depth, _rng: np.random.Generator) -> list[Pixel]:
    """From one far end of the region to the other along its middle, a tenth cut off at both ends."""
    inside = depth > 0
    cost = np.divide(1.0, depth**2, out=np.zeros_like(depth), where=inside)
    start = _farthest(inside, _pixel_of_maximum(depth))
    path = _cheapest_path(cost, start, _farthest(inside, start))
    cut = len(path) // 10
    return path[cut : len(path) - cut]


def _wobble(depth: Depth, rng: np.random.Generator) -> list[Pixel]:
    """Between two random pixels of the region's inner part, through a random smooth landscape."""
    noise = ndimage.gaussian_filter(rng.normal(size=depth.shape), 4.0)
    noise = (noise - noise.mean()) / max(float(noise.std()), 1e-9)  # of a few pixels no more than rounding is left
    cost = np.where(depth > 0, np.exp(1.5 * noise.clip(-3, 3)), 0.0)
    inner = np.argwhere(depth >= 0.3 * depth.max())
    start, end = inner[rng.integers(len(inner), size=2)]
    return _cheapest_path(cost, _pair(start), _pair(end))


def _contour(depth: Depth, rng: np.random.Generator) -> list[Pixel]:
    """Between two random pixels near the border, beside it at an even distance."""
    distance = max(1.0, min(3.0, 0.3 * float(depth.max())))
    cost = np.where(depth > 0, 0.05 + (depth - distance) ** 2, 0.0)
    gap = np.where(depth > 0, np.abs(depth - distance), np.inf)
    band = np.argwhere(gap <= max(0.75, float(gap.min())))
    start, end = band[rng.integers(len(band), size=2)]
    return _cheapest_path(cost, _pair(start), _pair(end))


def _pair(pixel: NDArray[np.int_]) -> Pixel:
    return int(pixel[0]), int(pixel[1])


def _pixel_of_maximum(values: Depth) -> Pixel:
    """The first in row order of the greatest values."""
    row, column = divmod(int(values.argmax()), values.shape[1])
    return row, column


def _farthest(inside: Mask, start: Pixel) -> Pixel:
    """The pixel of a connected region with the longest way from ``start``."""
    ways, _ = MCP_Geometric(np.where(inside, 1.0, -1.0)).find_costs([start])
    return _pixel_of_maximum(np.where(inside, ways, -1.0))


def _cheapest_path(cost: Depth, start: Pixel, end: Pixel) -> list[Pixel]:
    """Pixels of the cheapest path through positive costs, both ends included; they must be connected."""
    paths = MCP_Geometric(np.where(cost > 0, cost, -1.0))  # negative costs are never entered
    paths.find_costs([start], [end])
    return [(int(row), int(column)) for row, column in paths.traceback(end)]
