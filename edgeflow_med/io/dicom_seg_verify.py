"""Proof that a written DICOM Segmentation says what was meant, by another way than it was written.

pydicom reads the file. Its frames are placed by their own positions and compared with the masks voxel by voxel; what it
says about patient, study, segments and sources is compared with where that came from; and every attribute with the one
that was handed to the writer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from edgeflow_med.errors import WriteError
from edgeflow_med.io.dicom.codecs import decode
from edgeflow_med.io.dicom.files import read_dataset
from edgeflow_med.io.dicom_seg_read import described_segment
from edgeflow_med.io.dicom_sources import Sources
from edgeflow_med.io.dicom_text import label_of, word
from edgeflow_med.segmentation import Segment, Segmentation

# Frames are decoded so many at a time, to keep memory small.
_CHUNK = 64
# How far a frame's pixels may lie from the voxels that they stand for, in voxels; slices may jitter by that much.
_OFF_GRID = 0.1
# How far a frame may lie from the image that it stands for.
_OFF_POSITION_MM = 1e-3
_IDENTITY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "FrameOfReferenceUID",
)


def verify_dicom_seg(path: Path, segmentation: Segmentation, sources: Sources, built: Dataset) -> None:
    """Read a Segmentation back and compare everything.

    Args:
        path: The file.
        segmentation: What it should hold.
        sources: The images that it should refer to.
        built: What was handed to the writer.

    Raises:
        WriteError: The first difference.
    """
    read = read_dataset(path)
    _check_identity(read, next(iter(sources.images.values())))
    _check_segments(read, segmentation)
    _check_instances(read, sources)
    _check_frames(read, path, segmentation, sources)
    _check_attributes(read, built, "")
    if read.file_meta.MediaStorageSOPInstanceUID != read.SOPInstanceUID:
        raise _differs("MediaStorageSOPInstanceUID")


def _check_identity(read: Dataset, source: Dataset) -> None:
    for keyword in _IDENTITY:
        if keyword not in read or str(read.get(keyword) or "") != str(source.get(keyword) or ""):
            raise _differs(keyword)


def _check_segments(read: Dataset, segmentation: Segmentation) -> None:
    found = [item for item in read.SegmentSequence if int(item.SegmentNumber) > 0]
    if [int(item.SegmentNumber) for item in found] != [segment.number for segment in segmentation.segments]:
        raise _differs("SegmentSequence")
    for segment, item in zip(segmentation.segments, found, strict=True):
        for name, (said, meant) in _compared(described_segment(item, segment.number), segment).items():
            if said != meant:
                raise _differs(f"the {name} of segment {segment.number}")


def _compared(read: Segment, segment: Segment) -> dict[str, tuple[object, object]]:
    """What the file says and what was meant, by name."""
    manual = segment.algorithm_type == "MANUAL"
    apart = np.abs(np.subtract(read.colour, segment.colour)).max()
    return {
        "label": (read.label, label_of(segment)),
        "category": (read.category, segment.category),
        "type": (read.type, segment.type),
        "region": (read.region, segment.region),
        "algorithm type": (read.algorithm_type, segment.algorithm_type),
        "algorithm name": (read.algorithm_name, "" if manual else word(segment.algorithm_name) or "unknown"),
        "algorithm version": (read.algorithm_version, "" if manual else word(segment.algorithm_version) or "unknown"),
        "tracking UID": (read.tracking_uid, segment.tracking_uid or read.tracking_uid),
        "tracking id": (read.tracking_id, word(segment.tracking_id) or label_of(segment)),
        "colour": (bool(apart <= 1), True),  # CIELab is rounded to 16 bits
    }


def _check_instances(read: Dataset, sources: Sources) -> None:
    listed = {
        item.ReferencedSOPInstanceUID
        for series in read.ReferencedSeriesSequence
        for item in series.ReferencedInstanceSequence
    }
    if listed != {header.SOPInstanceUID for header in sources.headers.values()}:
        raise _differs("ReferencedInstanceSequence")


def _check_frames(read: Dataset, path: Path, segmentation: Segmentation, sources: Sources) -> None:
    """Each frame holds its segment's mask of the slice where it lies and refers to its image, and none is missing."""
    places = _Places(segmentation, sources)
    labelmap = read.SegmentationType == "LABELMAP"
    missing: NDArray[np.bool_] = segmentation.occupied()
    if labelmap:
        missing = np.atleast_2d(missing.any(axis=0))
    for pixels, own in zip(_frames(read, path), read.PerFrameFunctionalGroupsSequence, strict=True):
        groups = _Groups(own, read.SharedFunctionalGroupsSequence[0])
        k = places.slice_of(groups)
        number = 0 if labelmap else int(groups("SegmentIdentificationSequence").ReferencedSegmentNumber)
        if not missing[max(number - 1, 0), k]:
            raise _differs(f"the frames: slice {k} came twice, or is empty")
        missing[max(number - 1, 0), k] = False
        meant = _labels(segmentation, k) if labelmap else segmentation.slice_mask(number, k)
        if not np.array_equal(pixels, meant):
            whose = "some segment" if labelmap else repr(segmentation.segments[number - 1].label)
            raise WriteError(f"The DICOM-SEG did not read back as written: voxels of {whose} differ on slice {k}.")
        _check_reference(own, sources.headers[k])
    if missing.any():
        raise _differs(f"the frames: slice {int(np.argwhere(missing)[0, 1])} is missing")


@dataclass(frozen=True)
class _Groups:
    """The functional groups of a frame: its own, else those that all frames share."""

    own: Dataset
    shared: Dataset

    def __call__(self, keyword: str) -> Dataset:
        return (self.own.get(keyword) or self.shared[keyword].value)[0]


class _Places:
    """Finds the slice where a frame lies."""

    def __init__(self, segmentation: Segmentation, sources: Sources) -> None:
        self._volume = segmentation.volume
        self._slices = list(sources.images)
        self._positions = np.array([image.ImagePositionPatient for image in sources.images.values()], np.float64)
        _, j, i = self._volume.shape
        self._corners = np.array([(0, 0), (0, i - 1), (j - 1, 0), (j - 1, i - 1)], np.float64)

    def slice_of(self, groups: _Groups) -> int:
        position = np.array(groups("PlanePositionSequence").ImagePositionPatient, np.float64)
        apart = np.abs(self._positions - position).max(axis=1)
        k = self._slices[int(apart.argmin())]
        if apart.min() > _OFF_POSITION_MM:
            raise _differs(f"the position of a frame, {position.tolist()}")
        orientation = np.array(groups("PlaneOrientationSequence").ImageOrientationPatient, np.float64)
        rows, columns = orientation.reshape(2, 3)
        steps = np.array([columns, rows]) * np.array(groups("PixelMeasuresSequence").PixelSpacing, np.float64)[:, None]
        indices = self._volume.index(position + self._corners @ steps)
        off = float(np.abs(indices - np.insert(self._corners, 0, k, axis=1)).max())
        if off > _OFF_GRID:
            raise _differs(f"the grid of slice {k}, by {off:.2g} voxels")
        return k


def _frames(read: Dataset, path: Path) -> Iterator[NDArray[Any]]:
    numbers = iter(range(int(read.NumberOfFrames)))
    while chunk := list(islice(numbers, _CHUNK)):
        yield from decode(read, chunk, path)


def _labels(segmentation: Segmentation, k: int) -> NDArray[np.uint8]:
    labels = np.zeros(segmentation.volume.shape[1:], np.uint8)
    for segment in segmentation.segments:
        labels[segmentation.slice_mask(segment.number, k)] = segment.number
    return labels


def _check_reference(groups: Dataset, header: Dataset) -> None:
    references = [source for item in groups.DerivationImageSequence for source in item.SourceImageSequence]
    said = [(source.ReferencedSOPInstanceUID, source.get("ReferencedFrameNumber")) for source in references]
    if said != [(header.SOPInstanceUID, header.get("ReferencedFrameNumber"))]:
        raise _differs("SourceImageSequence")


def _check_attributes(read: Dataset, built: Dataset, where: str) -> None:
    """Every attribute but the pixels, which were compared with the masks, is as it was handed to the writer."""
    for tag in read.keys() | built.keys():
        if tag == 0x7FE00010:
            continue
        if tag not in read or tag not in built:
            raise _differs(f"{where}{(read if tag in read else built)[tag].keyword or tag}")
        one, other = read[tag], built[tag]
        if one.VR == "SQ":
            if len(one.value) != len(other.value):
                raise _differs(where + one.keyword)
            for item, meant in zip(one.value, other.value, strict=True):
                _check_attributes(item, meant, f"{where}{one.keyword}.")
        # dates and times are equal in their words, empty values in being empty
        elif one.value != other.value and str(one.value or "") != str(other.value or ""):
            raise _differs(where + one.keyword)


def _differs(what: str) -> WriteError:
    return WriteError(f"The DICOM-SEG did not read back as written: {what} differs; the old file was kept.")
