"""Differences between two states of a session, small enough that all of them can be kept.

A state is two voxel layers per segment (its mask, and what the reader fixed by hand) and a table of small immutable
values. A :class:`Step` from one state to the next is a tuple of :class:`Patch` (voxels of one slice that flip) and of
:class:`Assign` (a value before and after). A patch is an exclusive or, so it undoes itself.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.predictors.base import Prediction

SliceKey = tuple[int, int]  # (index axis, slice number)
Box = tuple[slice, slice, slice]
_FAST = 1  # zlib level: answers are mostly runs of zeros, and a click must not wait


class Layer(StrEnum):
    """The two voxel layers of a segment."""

    MASK = "mask"
    FIXED = "fixed"


@dataclass(frozen=True)
class Patch:
    """Voxels of one slice of one segment that flip.

    Attributes:
        segment: Its id.
        layer: Which layer.
        axis: The index axis that steps through the slices.
        index: Number of the slice.
        corner: First row and column of the box that holds all differences.
        size: Rows and columns of that box.
        data: The box's exclusive or, packed.
    """

    segment: int
    layer: Layer
    axis: int
    index: int
    corner: tuple[int, int]
    size: tuple[int, int]
    data: bytes

    @property
    def box(self) -> Box:
        """Where it lies in ``(K, J, I)``."""
        sides = [slice(start, start + length) for start, length in zip(self.corner, self.size, strict=True)]
        sides.insert(self.axis, slice(self.index, self.index + 1))
        return sides[0], sides[1], sides[2]

    def flips(self) -> NDArray[np.uint8]:
        """The exclusive or, of the shape of the box."""
        raw = np.frombuffer(zlib.decompress(self.data), np.uint8)
        if self.layer is Layer.MASK:
            raw = np.unpackbits(raw, count=self.size[0] * self.size[1])
        return raw.reshape([side.stop - side.start for side in self.box])

    def flip_slice(self, pixels: NDArray[np.bool_], key: SliceKey) -> None:
        """Flip those voxels of a mask patch that lie on slice ``key``, whose ``(H, W)`` pixels are given, in place."""
        axis, index = key
        sides = list(self.box)
        across = sides.pop(axis)
        if across.start <= index < across.stop:
            pixels[tuple(sides)] ^= self.flips().view(np.bool_).take(index - across.start, axis)


def make_patch(
    segment: int, layer: Layer, key: SliceKey, before: NDArray[np.generic], after: NDArray[np.generic]
) -> Patch | None:
    """The difference of two slices ``(H, W)``; None if they are equal."""
    flips = np.bitwise_xor(before, after)
    bounds = bounding_box(flips)
    if bounds is None:
        return None
    rows, columns = bounds
    inside = np.ascontiguousarray(flips[rows, columns])
    packed = np.packbits(inside) if layer is Layer.MASK else inside
    corner, size = (rows.start, columns.start), (inside.shape[0], inside.shape[1])
    return Patch(segment, layer, *key, corner, size, zlib.compress(packed.tobytes(), _FAST))


def bounding_box(pixels: NDArray[np.generic]) -> tuple[slice, slice] | None:
    """Rows and columns of the smallest box around everything that is not zero; None if all is."""
    rows = np.flatnonzero(pixels.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(pixels[rows[0] : rows[-1] + 1].any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


@dataclass(frozen=True)
class PackedPrediction:
    """A prediction at 8 bits, as a session keeps it: live, in its history and in its journal alike.

    The mask (probability >= 0.5) is exactly that of the prediction it was made of.
    """

    shape: tuple[int, int]
    corner: tuple[int, int]
    size: tuple[int, int]
    data: bytes
    quality: float

    @classmethod
    def of(cls, prediction: Prediction) -> PackedPrediction:
        """Pack a prediction."""
        levels, edge = _to_bytes(prediction.probability), _to_bytes(prediction.edge)
        levels = np.where(prediction.mask, np.maximum(levels, 128), np.minimum(levels, 127))
        rows, columns = bounding_box(levels | edge) or (slice(0, 0), slice(0, 0))
        both = np.stack([levels[rows, columns], edge[rows, columns]])
        height, width = levels.shape
        return cls(
            (height, width),
            (rows.start, columns.start),
            (both.shape[1], both.shape[2]),
            zlib.compress(both.tobytes(), _FAST),
            float(prediction.quality),
        )

    def unpack(self) -> Prediction:
        """The prediction, probability and edge in steps of 1/255."""
        both = np.zeros((2, *self.shape), np.float32)
        rows, columns = (slice(c, c + n) for c, n in zip(self.corner, self.size, strict=True))
        levels = np.frombuffer(zlib.decompress(self.data), np.uint8).reshape(2, *self.size)
        both[:, rows, columns] = levels / np.float32(255)
        return Prediction(both[0], both[1], self.quality)


def _to_bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values in [0, 1] -> 0 to 255; what is not a number becomes 0."""
    return (np.fmin(np.fmax(values, 0), 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


@dataclass(frozen=True)
class PackedMask:
    """A whole mask ``(K, J, I)``, packed: an editable region, as the history keeps it."""

    shape: tuple[int, int, int]
    data: bytes

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> PackedMask:
        """Pack a mask."""
        k, j, i = mask.shape
        return cls((k, j, i), zlib.compress(np.packbits(mask).tobytes(), _FAST))

    def unpack(self) -> NDArray[np.bool_]:
        """The mask, read-only."""
        count = self.shape[0] * self.shape[1] * self.shape[2]
        bits = np.unpackbits(np.frombuffer(zlib.decompress(self.data), np.uint8), count=count)
        mask = bits.view(np.bool_).reshape(self.shape)
        mask.flags.writeable = False
        return mask


# What an assignment is about: ("info", segment), ("slice", segment, axis, index) or ("option", name).
Key = tuple[str, int] | tuple[str, int, int, int] | tuple[str, str]


@dataclass(frozen=True)
class Assign:
    """One small value before and after a step; None where there is none."""

    key: Key
    before: object
    after: object

    def inverted(self) -> Assign:
        """The way back."""
        return Assign(self.key, self.after, self.before)


@dataclass(frozen=True)
class Step:
    """What leads from one state of a session to the next.

    Attributes:
        name: What a menu says after "Undo", e.g. ``"Paint"``.
        kind: One word for programs, e.g. ``"prompt"``; see :class:`edgeflow_med.session.Session`.
        patches: Voxels that flip.
        assigns: Values that change.
        seconds: How long the answer took; 0 where nobody was asked.
    """

    name: str
    kind: str
    patches: tuple[Patch, ...] = ()
    assigns: tuple[Assign, ...] = ()
    seconds: float = 0.0

    @property
    def segments(self) -> tuple[int, ...]:
        """Ids of the segments that it touches, in order."""
        touched = {patch.segment for patch in self.patches}
        touched |= {int(assign.key[1]) for assign in self.assigns if assign.key[0] != "option"}
        return tuple(sorted(touched))

    def inverted(self) -> Step:
        """The way back."""
        assigns = tuple(assign.inverted() for assign in reversed(self.assigns))
        return Step(self.name, self.kind, self.patches[::-1], assigns, self.seconds)
