"""What the relatives of Segment Anything share: their square frame, points, and the logits that they take back.

Arrays of a *slice* have its shape ``(H, W)``; the *frame* is the square of ``side`` pixels that an encoder takes; the
decoder answers in logits of 256 x 256 pixels over that frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.grids import Array, outline, resample
from edgeflow_med.predictors.base import Prediction, Stroke
from edgeflow_med.predictors.strokes import box_corners

LOW = 256
NO_MASK = np.zeros((1, 1, LOW, LOW), np.float32)
POINTS_PER_SCRIBBLE = 5
# Probabilities closer to 0 and 1 than this say no more: about the largest logit that SAM writes when sure.
_SURE = 1e-6


@dataclass(frozen=True, eq=False)
class SamPrediction(Prediction):
    """An answer that carries the decoder's own logits ``(256, 256)``, to be fed back with the next click."""

    logits: Array


@dataclass(frozen=True)
class Frame:
    """Where a slice lies in the encoder's square.

    Attributes:
        shape: ``(H, W)`` of the slice.
        side: Of the square.
        stretch: The slice fills the square (SAM 2); else its long side does, and the rest is padding to the right and
            below (SAM 1).
    """

    shape: tuple[int, int]
    side: int
    stretch: bool

    @property
    def inner(self) -> tuple[int, int]:
        """Rows and columns of the square that the slice takes up."""
        if self.stretch:
            return self.side, self.side
        longest = max(self.shape)
        height, width = (max(1, round(n * self.side / longest)) for n in self.shape)
        return height, width

    @property
    def low_inner(self) -> tuple[int, int]:
        """Rows and columns of the decoder's logits that the slice takes up."""
        height, width = (max(1, round(n * LOW / self.side)) for n in self.inner)
        return height, width

    def image(self, image: Array) -> Array:
        """Slice -> ``inner``, unpadded."""
        return resample(image, self.inner)

    def pad(self, channels: Array) -> Array:
        """``(C, *inner)`` -> ``(1, C, side, side)``, zeros to the right and below."""
        height, width = self.inner
        square = np.zeros((1, len(channels), self.side, self.side), np.float32)
        square[0, :, :height, :width] = channels
        return square

    def points(self, points: Sequence[tuple[float, float]]) -> Array:
        """Slice pixels (row, column) -> frame pixels ``(P, 2)`` as (x, y), centres at integers in both."""
        scale = np.divide(self.inner, self.shape)
        rows_columns = (np.asarray(points, np.float32).reshape(-1, 2) + 0.5) * scale - 0.5
        return rows_columns[:, ::-1].astype(np.float32)

    def to_slice(self, logits: Array) -> Array:
        """Decoder's logits ``(256, 256)`` -> probability on the slice."""
        height, width = self.low_inner
        full = resample(logits[:height, :width], self.shape)
        return (1.0 / (1.0 + np.exp(-np.clip(full, -32.0, 32.0)))).astype(np.float32)

    def previous_logits(self, previous: Prediction | None) -> Array | None:
        """What the decoder is told of the last answer, ``(1, 1, 256, 256)``: its own logits, or another's as logits."""
        if previous is None:
            return None
        if isinstance(previous, SamPrediction):
            return previous.logits[None, None]
        low = np.full((LOW, LOW), np.log(_SURE), np.float32)
        height, width = self.low_inner
        probability = np.clip(resample(previous.probability, (height, width)), _SURE, 1 - _SURE)
        low[:height, :width] = np.log(probability / (1 - probability))
        return low[None, None]

    def answer(self, logits: Array, quality: float) -> SamPrediction:
        """The answer to a request, from one candidate's logits ``(256, 256)`` and its predicted IoU."""
        probability = self.to_slice(logits)
        return SamPrediction(probability, outline(probability >= 0.5), float(np.clip(quality, 0, 1)), logits)


@dataclass(frozen=True, eq=False)
class Points:
    """Prompts as SAM takes them.

    Attributes:
        coordinates: ``(P, 2)`` frame pixels (x, y), of clicks and along scribbles.
        labels: ``(P,)`` 1 positive, 0 negative.
        box: ``(2, 2)`` upper left and lower right corner in frame pixels, or None.
    """

    coordinates: Array
    labels: Array
    box: Array | None

    @property
    def ambiguous(self) -> bool:
        """A single click: the case for which SAM proposes three masks."""
        return self.box is None and len(self.labels) == 1

    def with_corners(self) -> tuple[Array, Array]:
        """Coordinates and labels with the box's corners put in front, as points labelled 2 and 3."""
        if self.box is None:
            return self.coordinates, self.labels
        corners = np.array([2, 3], np.float32)
        return np.concatenate([self.box, self.coordinates]), np.concatenate([corners, self.labels])


def read_prompts(strokes: Sequence[Stroke], frame: Frame) -> Points:
    """Clicks, a few points along each scribble, and the latest box."""
    coordinates, labels, box = [np.zeros((0, 2), np.float32)], [], None
    for stroke in strokes:
        if stroke.closed:
            box = frame.points(box_corners(stroke))
            continue
        points = along(stroke, POINTS_PER_SCRIBBLE)
        coordinates.append(frame.points(points))
        labels += [float(stroke.positive)] * len(points)
    return Points(np.concatenate(coordinates), np.array(labels, np.float32), box)


def along(stroke: Stroke, count: int) -> list[tuple[float, float]]:
    """At most ``count`` of a stroke's points, evenly spaced by number, without its very ends."""
    if len(stroke.points) <= count:
        return list(stroke.points)
    places = (np.arange(count) + 0.5) * len(stroke.points) / count
    return [stroke.points[int(n)] for n in places]


def normalised(image: Array, mean: Sequence[float], deviation: Sequence[float]) -> Array:
    """Grey ``(H, W)`` -> three channels ``(3, H, W)``, each with its own mean and deviation."""
    low, width = (np.asarray(values, np.float32)[:, None, None] for values in (mean, deviation))
    return np.asarray((image[None] - low) / width, np.float32)
