"""Voxel values: decoded slice by slice, rescaled by each slice's own slope and intercept, checked to be complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.processing import apply_modality_lut
from pydicom.pixels.utils import get_expected_length
from pydicom.valuerep import format_number_as_ds

from edgeflow_med.errors import ReadError
from edgeflow_med.io.dicom.codecs import decode
from edgeflow_med.io.dicom.files import Source, read_dataset
from edgeflow_med.io.dicom.frames import FUNCTIONAL_GROUPS, Frame, spread
from edgeflow_med.io.dicom.geometry import Grid
from edgeflow_med.io.dicom.padding import AIR_HU, Padding
from edgeflow_med.io.limits import MAX_VOXELS
from edgeflow_med.io.wording import one_line

# What a missing slice shares with its neighbours.
_SHARED = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
)


def read_pixels(grid: Grid) -> tuple[NDArray[Any], tuple[Dataset, ...], list[str]]:
    """Decode the frames of a grid in their order.

    Missing slices are filled with air (-1000) for CT, else with the lowest measured value.

    Returns:
        ``(K, J, I)`` int16 where every rescaled value is a whole number that fits, else float32; one header per slice
        without pixels and private attributes, that of a missing slice without SOPInstanceUID; warnings.

    Raises:
        ReadError: A file that is truncated or cannot be decoded, by name.
    """
    frames = grid.frames
    present = [(k, frame) for k, frame in enumerate(frames) if frame is not None]
    rows, columns = present[0][1].shape
    if len(frames) * rows * columns > MAX_VOXELS:
        raise ReadError(
            f"The series claims {len(frames)} x {rows} x {columns} voxels, more than {MAX_VOXELS}; is it broken?"
        )
    array: NDArray[Any] = np.empty((len(frames), rows, columns), np.int16)
    headers: dict[int, Dataset] = {}
    notes: set[str] = set()
    padding = Padding()
    for k, path, stored, header in _decoded(present):
        if stored.shape != (rows, columns):
            raise ReadError(f"{path.name}: the pixels are {stored.shape}, the header says {(rows, columns)}.")
        values, note = _rescaled(stored, header, path)
        notes |= note
        if array.dtype == np.int16 and not _fits_int16(values):
            array = array.astype(np.float32)
        array[k] = values
        padding.note(k, stored, values, header)
        headers[k] = header
    if len({"RescaleSlope" in header for header in headers.values()}) > 1:
        notes.add("Some slices have a rescale slope and others have none, which was read as 1.")
    padding.level(array)
    for k in (k for k, frame in enumerate(frames) if frame is None):
        array[k] = AIR_HU if headers[0].get("Modality") == "CT" else padding.lowest
        headers[k] = _stand_in(headers[0], (grid.affine @ (k, 0, 0, 1))[:3])
    return array, tuple(headers[k] for k in range(len(frames))), sorted(notes)


def _decoded(frames: Sequence[tuple[int, Frame]]) -> Iterator[tuple[int, Source, NDArray[Any], Dataset]]:
    """Yield ``(k, file, stored values, header)``; each file is read once."""
    numbered = sorted(frames, key=lambda item: (str(item[1].path), item[1].number))
    for path, group in groupby(numbered, key=lambda item: item[1].path):
        dataset = read_dataset(path)
        _check_complete(dataset, path)
        members = list(group)
        numbers = [frame.number for _, frame in members]
        for (k, _), values, header in zip(
            members, decode(dataset, numbers, path), _headers(dataset, numbers), strict=True
        ):
            yield k, path, values, header


def _headers(dataset: Dataset, numbers: Sequence[int]) -> list[Dataset]:
    """The headers of frames without pixels and without private attributes, which may hold anything."""
    bare = dataset[0x00080000:0x50000000]
    for keyword in FUNCTIONAL_GROUPS:
        if keyword in dataset:
            bare[keyword] = dataset[keyword]
    for tag in [tag for tag in bare.keys() if tag.is_private]:  # noqa: SIM118 - iterating a dataset gives its elements
        del bare[tag]
    return [spread(bare, number) for number in numbers]


def _stand_in(header: Dataset, position: NDArray[np.float64]) -> Dataset:
    """The header of a missing slice: its place and what all slices share, but no instance."""
    stand_in = Dataset()
    stand_in.ImagePositionPatient = [format_number_as_ds(value) for value in position.tolist()]
    for keyword in _SHARED:
        if keyword in header:
            stand_in[keyword] = header[keyword]
    return stand_in


def _check_complete(dataset: Dataset, path: Source) -> None:
    """Refuse a file whose pixel data is missing, shorter than its header claims, cut inside a frame, or ambiguous."""
    data = dataset.get("PixelData")
    if not data:
        raise ReadError(f"{path.name} has no pixel data; it is truncated, or not an image.")
    try:
        if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            if dataset.get("HighBit") not in (None, dataset.BitsStored - 1):
                raise ReadError(
                    f"{path.name}: High Bit {dataset.HighBit} does not fit {dataset.BitsStored} Bits Stored, so nobody "
                    "knows which bits are the values; mend the header."
                )
            expected = get_expected_length(dataset)
            if len(data) < expected:
                raise ReadError(f"{path.name} is truncated: {len(data)} bytes of pixels instead of {expected}.")
            return
        count = int(dataset.get("NumberOfFrames") or 1)
        found = sum(1 for _ in generate_frames(data, number_of_frames=count))
    except ReadError:
        raise
    except Exception as error:  # noqa: BLE001 - pydicom raises whatever broken data lead it into
        raise ReadError(f"{path.name}: the pixel data is broken or truncated ({one_line(error)}).") from None
    if found != count:
        raise ReadError(f"{path.name} is truncated: {found} of {count} frames.")


def _rescaled(values: NDArray[Any], header: Dataset, path: Source) -> tuple[NDArray[Any], set[str]]:
    """Apply the modality LUT or slope and intercept (PS3.3 C.11.1) of one slice; Hounsfield units for CT."""
    if header.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(values, header)), set()
    try:
        slope = float(header.get("RescaleSlope", 1.0) if header.get("RescaleSlope", 1.0) is not None else 1.0)
        intercept = float(header.get("RescaleIntercept") or 0.0)
    except (TypeError, ValueError) as error:
        raise ReadError(f"{path.name}: the rescale slope or intercept is not a number ({one_line(error)}).") from None
    notes: set[str] = set()
    if header.get("LossyImageCompression") == "01":
        notes.add("The images were once compressed with losses; fine edges may be false.")
    if header.get("Modality") == "CT" and not ("RescaleSlope" in header and "RescaleIntercept" in header):
        notes.add("The CT lacks a rescale slope or intercept, so its values may not be Hounsfield units.")
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        notes.add(f"A rescale slope of {slope:g} was read as 1.")
        slope = 1.0
    if slope == 1 and intercept == 0:
        return values, notes
    if slope == int(slope) and intercept == int(intercept):
        return values.astype(np.int64) * int(slope) + int(intercept), notes
    return values.astype(np.float64) * slope + intercept, notes


def _fits_int16(values: NDArray[Any]) -> bool:
    limits = np.iinfo(np.int16)
    return bool(np.issubdtype(values.dtype, np.integer) and values.min() >= limits.min and values.max() <= limits.max)
