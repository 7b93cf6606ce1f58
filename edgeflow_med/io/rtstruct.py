"""Radiotherapy structure sets: closed contours on slices, filled into masks.

A voxel belongs to a structure if its centre lies inside an odd number of the structure's contours on that slice, so
that an inner contour is a hole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from edgeflow_med.errors import GeometryError, ReadError
from edgeflow_med.io.dicom.files import Source, read_dataset
from edgeflow_med.io.dicom_seg_read import code_in
from edgeflow_med.io.wording import one_line
from edgeflow_med.segmentation import LESION, MORPHOLOGICALLY_ABNORMAL, PALETTE, AlgorithmType, Segment, Segmentation
from edgeflow_med.volume import Volume

RT_STRUCTURE_SET_STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"
# Contour Geometric Types that enclose something.
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
# How far from a slice a contour may lie, as a part of the distance between slices.
_OFF_SLICE = 0.1


def read_rtstruct(path: Source, volume: Volume) -> Segmentation:
    """Read all structures that have closed contours onto the grid of ``volume``.

    Raises:
        ReadError: Broken, or without any closed contour.
        GeometryError: Contours that lie between slices, or outside the volume, or in another frame of reference.
    """
    dataset = read_dataset(path)
    regions = {int(item.ROINumber): item for item in dataset.get("StructureSetROISequence") or []}
    observed = {int(item.ReferencedROINumber): item for item in dataset.get("RTROIObservationsSequence") or []}
    segments: list[Segment] = []
    masks: list[NDArray[np.bool_]] = []
    without = dict.fromkeys(regions)  # isocentres and other points, and what somebody named and never drew
    for item in dataset.get("ROIContourSequence") or []:
        roi = int(item.ReferencedROINumber)
        region = regions.get(roi, Dataset())
        contours = [
            contour
            for contour in item.get("ContourSequence") or []
            if contour.get("ContourGeometricType", _CLOSED[0]) in _CLOSED
        ]
        if not contours:
            continue
        without.pop(roi, None)
        _check_frame_of_reference(path, region, volume)
        number = len(segments) + 1
        segments.append(_segment(number, region, observed.get(roi, Dataset()), item.get("ROIDisplayColor")))
        masks.append(_filled([_indices(path, contour, volume) for contour in contours], volume, segments[-1].label))
    if not segments:
        raise ReadError(f"{path.name} holds no structure with closed contours.")
    names = ", ".join(_name(regions[roi], roi) for roi in without)
    warnings = (f"Not read, for want of a closed contour: {names}.",) if names else ()
    return Segmentation(volume, tuple(segments), tuple(masks), warnings=warnings)


def _indices(path: Source, contour: Dataset, volume: Volume) -> NDArray[np.float64]:
    """A contour's points ``(n, 3)`` as fractional indices (k, j, i)."""
    try:
        points = np.array(contour.get("ContourData") or [], np.float64).reshape(-1, 3)
    except ValueError as error:
        raise ReadError(
            f"{path.name} holds a contour that is not made of points ({one_line(error)}); it is broken."
        ) from None
    if len(points) < 3:
        raise ReadError(f"{path.name} holds a closed contour of {len(points)} points; it is broken.")
    return volume.index(points)


def _filled(contours: Sequence[NDArray[np.float64]], volume: Volume, label: str) -> NDArray[np.bool_]:
    from skimage.draw import polygon2mask

    mask = np.zeros(volume.shape, np.bool_)
    for points in contours:
        k = round(float(np.median(points[:, 0])))
        off = float(np.abs(points[:, 0] - k).max())
        if off > _OFF_SLICE or not 0 <= k < volume.shape[0]:
            place = ", ".join(f"{v:.2f}" for v in volume.position(points[0]))
            raise GeometryError(
                f"A contour of {label!r} at ({place}) mm lies on no slice of the volume ({off:.2g} of a slice off the "
                "nearest); give the series it was drawn on."
            )
        mask[k] ^= polygon2mask(volume.shape[1:], points[:, 1:])
    return mask


def _name(region: Dataset, number: int) -> str:
    return str(region.get("ROIName") or f"Structure {number}")


def _segment(number: int, region: Dataset, observed: Dataset, colour: Sequence[int] | None) -> Segment:
    """What a region of interest and the observation of it say."""
    algorithm = str(region.get("ROIGenerationAlgorithm") or "")
    return Segment(
        number=number,
        label=_name(region, number),
        category=code_in(observed, "SegmentedPropertyCategoryCodeSequence", MORPHOLOGICALLY_ABNORMAL),
        type=code_in(observed, "RTROIIdentificationCodeSequence", LESION),
        algorithm_type=AlgorithmType(algorithm) if algorithm in list(AlgorithmType) else AlgorithmType.SEMIAUTOMATIC,
        tracking_uid=str(region.get("TrackingUID") or observed.get("TrackingUID") or ""),
        tracking_id=str(region.get("TrackingID") or observed.get("TrackingID") or ""),
        colour=(int(colour[0]), int(colour[1]), int(colour[2])) if colour else PALETTE[(number - 1) % len(PALETTE)],
    )


def _check_frame_of_reference(path: Source, region: Dataset, volume: Volume) -> None:
    expected = volume.headers[0].get("FrameOfReferenceUID") if volume.headers else None
    found = region.get("ReferencedFrameOfReferenceUID")
    if expected and found and expected != found:
        raise GeometryError(f"{path.name} lies in another frame of reference ({found}) than the volume ({expected}).")
