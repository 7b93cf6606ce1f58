"""The result: labelled masks on the grid of a volume, with what a file must say about each."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import GeometryError
from edgeflow_med.volume import Volume


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
        tracking_uid: Identifies the same finding over time (a DICOM UID); empty to have one made on writing.
        colour: RGB, 0 to 255.
        unreviewed_slices: How many of its slices nobody has accepted.
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


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Masks of one or several segments on the grid of ``volume``; they may overlap.

    Attributes:
        volume: The grid, and for DICOM the source instances.
        segments: One entry per mask, numbered from 1 in order.
        masks: One bool array ``(K, J, I)`` per segment.
        note: Free text for the file's description, e.g. the window that was used.
    """

    volume: Volume
    segments: tuple[Segment, ...]
    masks: tuple[NDArray[np.bool_], ...]
    note: str = ""
    provenance: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.segments or len(self.segments) != len(self.masks):
            raise GeometryError(
                f"{len(self.segments)} segments but {len(self.masks)} masks; give one mask per segment."
            )
        if [s.number for s in self.segments] != list(range(1, len(self.segments) + 1)):
            raise GeometryError("Segments must be numbered 1, 2, 3, ... in order.")
        for segment, mask in zip(self.segments, self.masks, strict=True):
            if mask.shape != self.volume.shape or mask.dtype != np.bool_:
                raise GeometryError(
                    f"The mask of {segment.label!r} is {mask.dtype} {mask.shape}, the volume {self.volume.shape}; "
                    "give a bool mask on the volume's grid."
                )

    @property
    def overlaps(self) -> bool:
        """Whether any voxel belongs to two segments."""
        total = np.zeros(self.volume.shape, np.uint8)
        for mask in self.masks:
            total += mask
        return bool(total.max() > 1)

    def labelmap(self) -> NDArray[np.uint8]:
        """``(K, J, I)`` uint8, 0 for background, else the segment number; where segments overlap, the later one."""
        labels = np.zeros(self.volume.shape, np.uint8)
        for segment, mask in zip(self.segments, self.masks, strict=True):
            labels[mask] = segment.number
        return labels
