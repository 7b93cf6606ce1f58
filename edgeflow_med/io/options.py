"""What may be asked of a save, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypedDict


class SegEncoding(StrEnum):
    """How a DICOM-SEG holds its masks.

    Attributes:
        BINARY: A bit per voxel and segment, not compressed; every reader opens it.
        DEFLATED: The same, the file deflated as a whole: some hundred times smaller.
        LABELMAP: A label map per slice, run-length encoded; for segments that do not overlap and readers that know
            DICOM's Label Map Segmentation (2024d).
    """

    BINARY = "binary"
    DEFLATED = "deflated"
    LABELMAP = "labelmap"


class SaveOptions(TypedDict, total=False):
    """The keyword arguments of `edgeflow_med.io.save`, for functions that hand them on."""

    encoding: SegEncoding | str
    bids: bool
    separate: bool
    creator: str
    deidentify: bool


@dataclass(frozen=True)
class Saved:
    """What a save did.

    Attributes:
        paths: The files written, the one that was asked for first.
        warnings: What had to be changed to write them, one line each.
    """

    paths: tuple[Path, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class MeasuredSegment:
    """What a measurement report says about one segment.

    Attributes:
        number: Its number in the DICOM-SEG.
        volume_ml: Its volume.
        longest_mm: The longest diameter on any slice.
        perpendicular_mm: On the same slice, the longest diameter perpendicular to it.
    """

    number: int
    volume_ml: float
    longest_mm: float
    perpendicular_mm: float
