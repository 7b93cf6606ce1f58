"""The result: labelled masks on the grid of a volume, with what a file must say about each."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import overload

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import GeometryError
from edgeflow_med.volume import Volume

Mask = NDArray[np.bool_]


class AlgorithmType(StrEnum):
    """DICOM's Segment Algorithm Type (0062,0008)."""

    MANUAL = "MANUAL"
    SEMIAUTOMATIC = "SEMIAUTOMATIC"
    AUTOMATIC = "AUTOMATIC"


@dataclass(frozen=True)
class Code:
    """A coded concept: value, scheme designator and meaning, as in DICOM code sequences."""

    value: str
    scheme: str
    meaning: str


LESION = Code("52988006", "SCT", "Lesion")
MORPHOLOGICALLY_ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
# Recommended display colours for segments without one of their own, taken in turn; RGB, 0 to 255.
PALETTE = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167), (0, 114, 178))


@dataclass(frozen=True)
class Segment:
    """What a file says about one segment.

    Attributes:
        number: DICOM segment number, from 1.
        label: Free text, at most 64 characters.
        category: Coded property category.
        type: Coded property type.
        algorithm_type: How its voxels came to be, told truthfully.
        algorithm_name: Model name, empty for MANUAL.
        algorithm_version: Model version or checksum.
        tracking_uid: Identifies the same finding over time (a DICOM UID), whatever its number or label becomes; see
            `new_tracking_uid`. Empty to have one made on writing.
        colour: RGB, 0 to 255.
        unreviewed_slices: How many of its slices nobody has accepted.
        tracking_id: What people call the finding over time; empty for the label.
        region: Where in the body it lies, coded; None if nobody said.
    """

    number: int
    label: str
    category: Code = MORPHOLOGICALLY_ABNORMAL
    type: Code = LESION
    algorithm_type: AlgorithmType = AlgorithmType.SEMIAUTOMATIC
    algorithm_name: str = ""
    algorithm_version: str = ""
    tracking_uid: str = ""
    colour: tuple[int, int, int] = PALETTE[0]
    unreviewed_slices: int = 0
    tracking_id: str = ""
    region: Code | None = None


def new_tracking_uid() -> str:
    """A UID for a new finding, derived from a random UUID (PS3.5, B.2), made once and kept through edits and saves."""
    return f"2.25.{uuid.uuid4().int}"


@dataclass(frozen=True, eq=False)
class LabelMasks(Sequence[Mask]):
    """The masks 1, 2, ... ``total`` of a label map, each made when it is asked for, in the memory of one.

    Attributes:
        labels: uint8 ``(K, J, I)``, 0 for background, else a segment number.
        total: How many segments.
    """

    labels: NDArray[np.uint8]
    total: int

    def __post_init__(self) -> None:
        if self.labels.dtype != np.uint8 or self.labels.max(initial=0) > self.total:
            raise GeometryError(
                f"A label map of {self.labels.dtype} with values up to {self.labels.max(initial=0)} does not fit "
                f"{self.total} segments; give uint8, 0 for background, else the segment number."
            )

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, index: int) -> Mask: ...
    @overload
    def __getitem__(self, index: slice) -> list[Mask]: ...
    def __getitem__(self, index: int | slice) -> Mask | list[Mask]:
        numbers = range(1, self.total + 1)[index]
        if isinstance(numbers, range):
            return [self.labels == number for number in numbers]
        return np.asarray(self.labels == numbers)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Masks of one or several segments on the grid of ``volume``; they may overlap.

    Attributes:
        volume: The grid, and for DICOM the source instances.
        segments: One entry per mask, numbered from 1 in order.
        masks: One bool array ``(K, J, I)`` per segment; `LabelMasks` where many segments share one label map.
        note: Free text for the file's description, e.g. the window that was used.
        provenance: How it was made, for files that have a place for it: short names and plain values, nothing about the
            patient, e.g. the checksum of the model.
        warnings: What the reader of a file noticed, one line each.
    """

    volume: Volume
    segments: tuple[Segment, ...]
    masks: Sequence[Mask]
    note: str = ""
    provenance: dict[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.segments or len(self.segments) != len(self.masks):
            raise GeometryError(
                f"{len(self.segments)} segments but {len(self.masks)} masks; give one mask per segment."
            )
        if [s.number for s in self.segments] != list(range(1, len(self.segments) + 1)):
            raise GeometryError("Segments must be numbered 1, 2, 3, ... in order.")
        arrays = self.masks[:1] if isinstance(self.masks, LabelMasks) else self.masks
        for segment, mask in zip(self.segments, arrays, strict=False):
            if mask.shape != self.volume.shape or mask.dtype != np.bool_:
                raise GeometryError(
                    f"The mask of {segment.label!r} is {mask.dtype} {mask.shape}, the volume {self.volume.shape}; "
                    "give a bool mask on the volume's grid."
                )

    @property
    def overlaps(self) -> bool:
        """Whether any voxel belongs to two segments."""
        if len(self.masks) == 1 or isinstance(self.masks, LabelMasks):
            return False
        return any(self._covered_twice(k) for k in range(self.volume.shape[0]))

    def slice_mask(self, number: int, k: int) -> Mask:
        """``(J, I)`` bool: slice k of the mask of segment ``number``."""
        if isinstance(self.masks, LabelMasks):
            return np.asarray(self.masks.labels[k] == number)
        return np.asarray(self.masks[number - 1][k])

    def occupied(self) -> Mask:
        """``(segments, K)`` bool: which slices each segment touches."""
        slices = range(self.volume.shape[0])
        return np.array([[self.slice_mask(segment.number, k).any() for k in slices] for segment in self.segments])

    def on(self, volume: Volume) -> Segmentation:
        """The same segments on a grid with the same voxels whose axes may run in another order or the other way.

        Raises:
            GeometryError: The grids hold different voxels.
        """
        step = np.linalg.inv(volume.affine) @ self.volume.affine  # index here -> index there
        order = np.abs(step[:3, :3]).argmax(1)
        signs = np.sign(step[[0, 1, 2], order]).astype(int)
        flipped = tuple(slice(None, None, sign) for sign in signs)
        shape = tuple(self.volume.shape[axis] for axis in order) if len(set(order)) == 3 else ()
        there = volume.affine.copy()  # this grid, taken in the other's order
        if shape == volume.shape:
            start = np.where(signs > 0, 0, np.subtract(shape, 1))[np.argsort(order)]
            there[:3, :3] = self.volume.affine[:3, order] * signs
            there[:3, 3] = self.volume.position(start)
        if shape != volume.shape or not volume.same_grid(there, shape):
            raise GeometryError(
                f"The segments lie on a grid of shape {self.volume.shape}, the volume on another of {volume.shape}; "
                "give the volume that they were made on."
            )
        return replace(self, volume=volume, masks=tuple(mask.transpose(order)[flipped].copy() for mask in self.masks))

    def labelmap(self) -> NDArray[np.uint8]:
        """``(K, J, I)`` uint8, 0 for background, else the segment number; where segments overlap, the later one."""
        if isinstance(self.masks, LabelMasks):
            return self.masks.labels
        labels = np.zeros(self.volume.shape, np.uint8)
        for segment, mask in zip(self.segments, self.masks, strict=True):
            np.copyto(labels, segment.number, where=mask, casting="unsafe")
        return labels

    def _covered_twice(self, k: int) -> bool:
        covered = np.zeros(self.volume.shape[1:], np.bool_)
        for mask in self.masks:
            if mask[k].any():
                if (covered & mask[k]).any():
                    return True
                covered |= mask[k]
        return False
