"""Defects planted one at a time in a good DICOM-SEG of two segments: judges are worth what they find of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import generate_uid

Defect = Callable[[Dataset], None]
_CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


def _put(**values: Any) -> Defect:
    def plant(dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return plant


def _drop(keyword: str) -> Defect:
    return lambda dataset: delattr(dataset, keyword)


def _in_segment(plant: Defect) -> Defect:
    return lambda dataset: plant(dataset.SegmentSequence[0])


def _frames(change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Defect:
    """Change the frames ``(frame, row, column)``."""

    def plant(dataset: Dataset) -> None:
        shape = (dataset.NumberOfFrames, dataset.Rows, dataset.Columns)
        changed = change(np.array(dataset.pixel_array).reshape(shape))
        dataset.PixelData = pack_bits(np.ascontiguousarray(changed))

    return plant


def _positions(change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Defect:
    """Change the positions ``(frame, 3)``."""

    def plant(dataset: Dataset) -> None:
        items = [groups.PlanePositionSequence[0] for groups in dataset.PerFrameFunctionalGroupsSequence]
        changed = change(np.array([item.ImagePositionPatient for item in items], np.float64))
        for item, position in zip(items, changed, strict=True):
            item.ImagePositionPatient = [f"{value:.8g}" for value in position]

    return plant


def _one_voxel(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    frames[len(frames) // 2, 0, 0] ^= 1
    return frames


def _swap_labels(dataset: Dataset) -> None:
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        item = groups.SegmentIdentificationSequence[0]
        item.ReferencedSegmentNumber = 3 - item.ReferencedSegmentNumber


def _shift_references(dataset: Dataset) -> None:
    """Each frame of the first segment refers to the image of the frame after it."""
    items = [
        groups.DerivationImageSequence[0].SourceImageSequence[0] for groups in dataset.PerFrameFunctionalGroupsSequence
    ]
    uids = [item.ReferencedSOPInstanceUID for item in items]
    for item, uid in zip(items, [*uids[1:], uids[0]], strict=True):
        item.ReferencedSOPInstanceUID = uid


def _other_references(dataset: Dataset) -> None:
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = generate_uid()
    for item in dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence:
        item.ReferencedSOPInstanceUID = generate_uid()


def _no_derivation(dataset: Dataset) -> None:
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        del groups.DerivationImageSequence


def _lose_frame(dataset: Dataset) -> None:
    frames = np.array(dataset.pixel_array)[:-1]
    del dataset.PerFrameFunctionalGroupsSequence[-1]
    dataset.NumberOfFrames = len(frames)
    dataset.PixelData = pack_bits(frames)


def _unknown_segment(dataset: Dataset) -> None:
    dataset.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 99


def _swap_spacing(dataset: Dataset) -> None:
    item = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    item.PixelSpacing = list(item.PixelSpacing)[::-1]


def _swap_cosines(dataset: Dataset) -> None:
    item = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    item.ImageOrientationPatient = [*item.ImageOrientationPatient[3:], *item.ImageOrientationPatient[:3]]


def _no_measures(dataset: Dataset) -> None:
    del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence


def _no_orientation(dataset: Dataset) -> None:
    del dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence


def _source_series(dataset: Dataset) -> None:
    dataset.SeriesInstanceUID = dataset.ReferencedSeriesSequence[0].SeriesInstanceUID


def _other_instance(dataset: Dataset) -> None:
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()


def _other_organisation(dataset: Dataset) -> None:
    dataset.DimensionIndexSequence[0].DimensionOrganizationUID = generate_uid()


def _no_meaning(segment: Dataset) -> None:
    del segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning


DEFECTS: dict[str, Defect] = {
    # identity
    "patient id missing": _drop("PatientID"),
    "another patient": _put(PatientName="Somebody^Else", PatientID="X-9"),
    "another study": _put(StudyInstanceUID=generate_uid()),
    "another frame of reference": _put(FrameOfReferenceUID=generate_uid()),
    "frame of reference missing": _drop("FrameOfReferenceUID"),
    "series UID of the source": _source_series,
    "instance UID of the file header differs": _other_instance,
    "references to another series": _other_references,
    "referenced series missing": _drop("ReferencedSeriesSequence"),
    # attributes
    "SOP class of a CT image": _put(SOPClassUID=_CT_IMAGE_STORAGE),
    "modality CT": _put(Modality="CT"),
    "segmentation type missing": _drop("SegmentationType"),
    "content label missing": _drop("ContentLabel"),
    "content label in lower case": _put(ContentLabel="segmentation of a lesion"),
    "instance number missing": _drop("InstanceNumber"),
    "series number missing": _drop("SeriesNumber"),
    "manufacturer missing": _drop("Manufacturer"),
    "dimension organisation missing": _drop("DimensionOrganizationSequence"),
    "another dimension organisation": _other_organisation,
    "8 bits allocated": _put(BitsAllocated=8),
    "one frame too many": lambda dataset: _put(NumberOfFrames=dataset.NumberOfFrames + 1)(dataset),
    # segments
    "segment label missing": _in_segment(_drop("SegmentLabel")),
    "another segment label": _in_segment(_put(SegmentLabel="Liver")),
    "algorithm type missing": _in_segment(_drop("SegmentAlgorithmType")),
    "unknown algorithm type": _in_segment(_put(SegmentAlgorithmType="ROBOT")),
    "algorithm name missing": _in_segment(_drop("SegmentAlgorithmName")),
    "property type missing": _in_segment(_drop("SegmentedPropertyTypeCodeSequence")),
    "property type without meaning": _in_segment(_no_meaning),
    "tracking id without UID": _in_segment(_drop("TrackingUID")),
    "another tracking UID": _in_segment(_put(TrackingUID=generate_uid())),
    "frame of an unknown segment": _unknown_segment,
    # geometry
    "rows upside down": _frames(lambda frames: frames[:, ::-1]),
    "columns mirrored": _frames(lambda frames: frames[:, :, ::-1]),
    "frames in reverse": _frames(lambda frames: frames[::-1]),
    "labels swapped": _swap_labels,
    "one voxel": _frames(_one_voxel),
    "RAS instead of LPS": _positions(lambda positions: positions * (-1, -1, 1)),
    "0.4 mm off": _positions(lambda positions: positions + np.array([0.4, 0, 0])),
    "one slice off": _positions(lambda positions: positions + positions[1] - positions[0]),
    "two frames at one position": _positions(lambda positions: positions[[0, 0, *range(2, len(positions))]]),
    "pixel spacing swapped": _swap_spacing,
    "row and column cosines swapped": _swap_cosines,
    "pixel measures missing": _no_measures,
    "orientation missing": _no_orientation,
    "rows and columns swapped": lambda dataset: _put(Rows=dataset.Columns, Columns=dataset.Rows)(dataset),
    "references one slice off": _shift_references,
    "derivation images missing": _no_derivation,
    "a frame lost": _lose_frame,
}
"""By what is wrong. Each changes a dataset that holds BINARY frames and is written with its own file meta."""
