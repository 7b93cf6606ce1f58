"""DICOM Segmentation objects, read by pydicom alone: each frame is placed by its own position.

Deliberately not highdicom, which writes ours: two implementations must agree before a file counts as saved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from edgeflow_med.errors import GeometryError, ReadError
from edgeflow_med.io.dicom.codecs import decode
from edgeflow_med.io.dicom.files import read_dataset
from edgeflow_med.io.dicom.frames import Frame, spread
from edgeflow_med.segmentation import (
    LESION,
    MORPHOLOGICALLY_ABNORMAL,
    PALETTE,
    AlgorithmType,
    Code,
    Segment,
    Segmentation,
)
from edgeflow_med.volume import Volume

SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
# How far from a voxel's centre a frame may lie, as a part of the voxel, and still count as on the grid.
_OFF_GRID = 0.1


def read_dicom_seg(path: Path, volume: Volume) -> Segmentation:
    """Read a BINARY or LABELMAP Segmentation onto the grid of ``volume``.

    Raises:
        ReadError: Not a Segmentation, FRACTIONAL, or broken.
        GeometryError: It lies on another grid, or in another frame of reference.
    """
    dataset = read_dataset(path)
    if str(dataset.get("SOPClassUID", "")) not in (SEGMENTATION_STORAGE, LABELMAP_STORAGE):
        raise ReadError(f"{path.name} is not a DICOM Segmentation; give a SEG, RTSTRUCT, NIfTI or .seg.nrrd file.")
    kind = str(dataset.get("SegmentationType", ""))
    if kind not in ("BINARY", "LABELMAP"):
        raise ReadError(f"{path.name} is a {kind or 'nameless'} Segmentation; only BINARY and LABELMAP can be read.")
    _check_frame_of_reference(path, dataset, volume)
    described = [item for item in dataset.SegmentSequence if int(item.SegmentNumber) > 0]
    masks = {int(item.SegmentNumber): np.zeros(volume.shape, np.bool_) for item in described}
    count = int(dataset.get("NumberOfFrames") or 1)
    if len(dataset.get("PerFrameFunctionalGroupsSequence") or ()) != count:
        raise ReadError(f"{path.name} claims {count} frames but describes another number of them; it is broken.")
    seen: set[tuple[int, str]] = set()
    for index, pixels in enumerate(decode(dataset, range(count), path)):
        header = spread(dataset, index)
        values = pixels[pixels > 0]
        where = _voxels(path, header, pixels, volume)
        number = 0 if kind == "LABELMAP" else int(header.ReferencedSegmentNumber)
        place = number, str(header.ImagePositionPatient)
        if place in seen:
            raise ReadError(f"{path.name}: frame {index + 1} lies where another of its segment lies; it is ambiguous.")
        seen.add(place)
        if kind == "LABELMAP":
            for value in np.unique(values).tolist():
                _mask(masks, value, path)[tuple(where[values == value].T)] = True
        else:
            _mask(masks, number, path)[tuple(where.T)] = True
    segments = tuple(described_segment(item, number) for number, item in enumerate(described, 1))
    return Segmentation(volume, segments, tuple(masks.values()))


def _voxels(path: Path, header: Dataset, pixels: NDArray[Any], volume: Volume) -> NDArray[np.intp]:
    """Indices ``(n, 3)`` in the volume of a frame's n non-zero pixels, in the order of ``pixels[pixels > 0]``."""
    frame = Frame(path, 0, header)
    rows, columns = frame.orientation
    spacing_j, spacing_i = frame.spacing
    j, i = (axis.astype(np.float64)[:, None] for axis in np.nonzero(pixels > 0))
    last_j, last_i = pixels.shape[0] - 1, pixels.shape[1] - 1
    corners_j, corners_i = np.array([[0, 0, last_j, last_j], [0, last_i, 0, last_i]], np.float64)[:, :, None]
    corners = volume.index(frame.position + corners_j * spacing_j * columns + corners_i * spacing_i * rows)
    off = float(np.abs(corners - np.round(corners)).max())
    if off > _OFF_GRID:
        raise GeometryError(
            f"{path.name} lies on another grid than the volume: frame {header.ReferencedFrameNumber} is {off:.2g} "
            "voxels off; give the series it was made on."
        )
    voxels = np.round(volume.index(frame.position + j * spacing_j * columns + i * spacing_i * rows)).astype(np.intp)
    if voxels.size and (voxels.min() < 0 or (voxels.max(axis=0) >= volume.shape).any()):
        raise GeometryError(
            f"{path.name} reaches outside the volume of shape {volume.shape}, first in frame "
            f"{header.ReferencedFrameNumber}; give the series it was made on."
        )
    return voxels


def _mask(masks: dict[int, NDArray[np.bool_]], number: int, path: Path) -> NDArray[np.bool_]:
    if number not in masks:
        raise ReadError(f"{path.name} uses segment {number}, which it does not describe; it is broken.")
    return masks[number]


def _check_frame_of_reference(path: Path, dataset: Dataset, volume: Volume) -> None:
    expected = volume.headers[0].get("FrameOfReferenceUID") if volume.headers else None
    found = dataset.get("FrameOfReferenceUID")
    if expected and found and expected != found:
        raise GeometryError(
            f"{path.name} lies in another frame of reference than the volume; give the series it was made on."
        )


def described_segment(item: Dataset, number: int) -> Segment:
    """What an item of the Segment Sequence says, as segment ``number``."""
    algorithm = (item.get("SegmentationAlgorithmIdentificationSequence") or [Dataset()])[0]
    return Segment(
        number=number,
        label=str(item.get("SegmentLabel") or f"Segment {number}"),
        category=code_in(item, "SegmentedPropertyCategoryCodeSequence", MORPHOLOGICALLY_ABNORMAL),
        type=code_in(item, "SegmentedPropertyTypeCodeSequence", LESION),
        algorithm_type=_algorithm_type(item),
        algorithm_name=str(algorithm.get("AlgorithmName") or item.get("SegmentAlgorithmName") or ""),
        algorithm_version=str(algorithm.get("AlgorithmVersion") or ""),
        tracking_uid=str(item.get("TrackingUID") or ""),
        colour=_colour(item, number),
        tracking_id=str(item.get("TrackingID") or ""),
        region=code_in(item, "AnatomicRegionSequence", None),
    )


def _algorithm_type(item: Dataset) -> AlgorithmType:
    """Semi-automatic where the file does not say, or says something else."""
    said = str(item.get("SegmentAlgorithmType", ""))
    return AlgorithmType(said) if said in list(AlgorithmType) else AlgorithmType.SEMIAUTOMATIC


@overload
def code_in(item: Dataset, keyword: str, default: Code) -> Code: ...
@overload
def code_in(item: Dataset, keyword: str, default: None) -> Code | None: ...
def code_in(item: Dataset, keyword: str, default: Code | None) -> Code | None:
    """The first code of a code sequence, or a default."""
    if not item.get(keyword):
        return default
    code = item.get(keyword)[0]
    value = code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue") or ""
    return Code(str(value), str(code.get("CodingSchemeDesignator", "")), str(code.get("CodeMeaning", "")))


def _colour(item: Dataset, number: int) -> tuple[int, int, int]:
    value = item.get("RecommendedDisplayCIELabValue")
    if value is None or len(value) != 3:
        return PALETTE[(number - 1) % len(PALETTE)]
    from highdicom.color import CIELabColor

    red, green, blue = CIELabColor.from_dicom_value(tuple(int(v) for v in value)).to_rgb()
    return red, green, blue
