"""The frames of DICOM images: every file's header is read, nothing is decoded.

A frame is one slice's worth of pixels: a single-frame instance, or one frame of an enhanced multi-frame instance with
its functional groups spread flat, so that the rest of the reader sees one kind of thing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from edgeflow_med.errors import GeometryError, ReadError
from edgeflow_med.io.dicom.files import Source, claims_to_be_dicom, files_under, read_dataset
from edgeflow_med.io.wording import one_line

# How many files that could not be read are named one by one.
MOST_TOLD = 5
# Attributes that may tell apart several stacks that share positions, in the order in which they are tried, and what a
# reader calls a stack that has a value of it.
SPLITTERS = {
    "SeriesNumber": "series number {}",
    "StackID": "stack {}",
    "EchoNumbers": "echo {}",
    "EchoTime": "echo time {} ms",
    "EffectiveEchoTime": "echo time {} ms",
    "InversionTime": "inversion time {} ms",
    "TemporalPositionIdentifier": "time point {}",
    "TemporalPositionIndex": "time point {}",
    "DiffusionBValue": "b-value {}",
    "DiffusionGradientOrientation": "gradient {}",
    "TriggerTime": "trigger time {} ms",
    "NominalCardiacTriggerDelayTime": "trigger time {} ms",
    "AcquisitionNumber": "acquisition {}",
    "ImageType": "image type {}",
    "FrameType": "image type {}",
    "ComplexImageComponent": "{}",
    "ConvolutionKernel": "kernel {}",
    "ContrastBolusAgent": "contrast {}",
    "AcquisitionTime": "acquired at {}",
    "AcquisitionDateTime": "acquired at {}",
}
# Where vendors keep the b-value of an image that lacks the standard's: private creator, group and element.
_PRIVATE_B_VALUES = (
    ("SIEMENS MR HEADER", 0x0019, 0x0C),
    ("GEMS_PARM_01", 0x0043, 0x39),
    ("Philips Imaging DD 001", 0x2001, 0x03),
)
_GE_OFFSET = 10**9  # GE adds this to the b-value
_TAGS = (
    *SPLITTERS,
    *(tag for _, group, element in _PRIVATE_B_VALUES for tag in ((group, 0x0010), (group, 0x1000 + element))),
    "PatientID",
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "SeriesDescription",
    "InstanceNumber",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SpacingBetweenSlices",
    "SliceThickness",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
# CT, MR and PET: plain, enhanced, and enhanced from plain.
_IMAGES = (
    *("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"),
    *("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4"),
    *("1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.128.1", "1.2.840.10008.5.1.4.1.1.130"),
)
# Instances with rows and columns that are not images of the patient: segmentations, dose, parametric maps and such.
_NOT_IMAGES = (
    "1.2.840.10008.5.1.4.1.1.66",
    "1.2.840.10008.5.1.4.1.1.481",
    "1.2.840.10008.5.1.4.1.1.30",
    "1.2.840.10008.5.1.4.1.1.11",
)


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice's worth of pixels in a file.

    Attributes:
        path: The file.
        number: Zero-based frame within the file.
        header: The attributes needed to group and place it, functional groups spread flat.
    """

    path: Source
    number: int
    header: Dataset = field(repr=False)

    @cached_property
    def position(self) -> NDArray[np.float64]:
        """LPS mm of the centre of the first voxel."""
        return self.numbers("ImagePositionPatient", 3)

    @cached_property
    def orientation(self) -> NDArray[np.float64]:
        """``(2, 3)`` unit vectors in LPS along a row (growing i) and a column (growing j)."""
        cosines = self.numbers("ImageOrientationPatient", 6).reshape(2, 3)
        lengths = np.linalg.norm(cosines, axis=1)
        if np.abs(lengths - 1).max() > 0.01 or abs(cosines[0] @ cosines[1]) > 0.01:
            raise GeometryError(
                f"{self.path.name}: ImageOrientationPatient {cosines.ravel().tolist()} is not two unit vectors."
            )
        return cosines / lengths[:, None]

    @cached_property
    def spacing(self) -> NDArray[np.float64]:
        """Distance in mm between rows (along j), then between columns (along i)."""
        spacing = self.numbers("PixelSpacing", 2)
        if spacing.min() <= 0:
            raise GeometryError(
                f"{self.path.name}: PixelSpacing {spacing.tolist()} is not positive; its size is unknown."
            )
        return spacing

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.header.Rows), int(self.header.Columns)

    def numbers(self, keyword: str, count: int) -> NDArray[np.float64]:
        """The ``count`` decimal numbers of an attribute.

        Raises:
            GeometryError: It is missing, has another count, or is not made of finite numbers.
        """
        try:
            value = self.header.get(keyword)
            if value is None or value == "":
                raise GeometryError(f"{self.path.name} has no {keyword}, so it cannot be placed in the patient.")
            numbers = np.array([float(part) for part in np.atleast_1d(value)])
        except (TypeError, ValueError) as error:
            if isinstance(error, GeometryError):
                raise
            raise GeometryError(
                f"{self.path.name}: {keyword} is not made of decimal numbers ({one_line(error)})."
            ) from None
        if numbers.size != count or not np.isfinite(numbers).all():
            raise GeometryError(f"{self.path.name}: {keyword} should be {count} numbers, but is {numbers.tolist()}.")
        return numbers


@dataclass(frozen=True)
class Scan:
    """What was found in a set of files.

    Attributes:
        frames: All image frames, in the order of the file names.
        left_out: One line for each file that claims to be DICOM and could not be read.
        files: How many files were looked at.
    """

    frames: tuple[Frame, ...]
    left_out: tuple[str, ...]
    files: int


def scan(paths: Sequence[Path]) -> Scan:
    """Read the headers of all DICOM images among files and folders.

    Raises:
        ReadError: ``paths`` is one file and not a DICOM image.
    """
    frames: list[Frame] = []
    left_out: list[str] = []
    count = 0
    for path in files_under(paths):
        count += 1
        try:
            frames += _frames_of(path)
        except ReadError as error:
            if len(paths) == 1 and path == paths[0]:
                raise
            if claims_to_be_dicom(path):
                left_out.append(str(error))
    if len(left_out) > MOST_TOLD:
        left_out[MOST_TOLD:] = [f"{len(left_out) - MOST_TOLD} more files could not be read either."]
    return Scan(tuple(frames), tuple(left_out), count)


def spread(dataset: Dataset, number: int) -> Dataset:
    """The attributes of one frame: an enhanced instance's functional groups laid flat over its own attributes.

    Args:
        dataset: A single-frame instance, returned as it is, or an enhanced multi-frame one.
        number: Zero-based frame. It is recorded as ReferencedFrameNumber (one-based), as a reference to it would be.
    """
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        return dataset
    flat = dataset[:]  # a shallow copy
    for keyword in (*FUNCTIONAL_GROUPS, "NumberOfFrames", "ReferencedFrameNumber"):
        flat.pop(keyword, None)
    groups = [*dataset.get("SharedFunctionalGroupsSequence", []), dataset.PerFrameFunctionalGroupsSequence[number]]
    for group in groups:
        for element in group:
            if element.VR == "SQ" and len(element.value) == 1:
                flat.update(element.value[0])
    for direction in flat.get("DiffusionGradientDirectionSequence") or []:
        flat.update(direction)
    flat.ReferencedFrameNumber = number + 1
    return flat


def _frames_of(path: Source) -> list[Frame]:
    header = read_dataset(path, stop_before_pixels=True, specific_tags=list(_TAGS))
    try:
        kinds = str(header.get("SOPClassUID", "")), str(header.file_meta.get("MediaStorageSOPClassUID", ""))
        if "Rows" not in header or "Columns" not in header or kinds[0].startswith(_NOT_IMAGES):
            if any(kind in _IMAGES for kind in kinds):
                raise ReadError(f"{path.name} should be an image but has no rows and columns; it is truncated.")
            return []  # a report, a plan, a segmentation, a directory: rightful DICOM, but no image
        count = int(header.get("NumberOfFrames") or 1)
        if "PerFrameFunctionalGroupsSequence" in header:
            if len(header.PerFrameFunctionalGroupsSequence) != count:
                groups = len(header.PerFrameFunctionalGroupsSequence)
                raise ReadError(f"{path.name} claims {count} frames but describes {groups}; it is broken.")
            return [Frame(path, number, spread(header, number)) for number in range(count)]
        _take_private_b_value(header)
    except ReadError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        raise ReadError(f"{path.name} is broken DICOM ({type(error).__name__}: {one_line(error)}).") from None
    return [Frame(path, 0, header)]


def _take_private_b_value(header: Dataset) -> None:
    """Let a vendor's private b-value stand where the standard's is missing."""
    for creator, group, element in _PRIVATE_B_VALUES:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            value = np.atleast_1d(header.private_block(group, creator)[element].value)[0]
            header.setdefault("DiffusionBValue", float(value) % _GE_OFFSET)
