"""Stored pixel values out of native or compressed pixel data.

pydicom decodes with whatever plugins are installed. What it cannot, foremost lossless JPEG, for which the one plugin
besides GDCM is under the GPL, SimpleITK's GDCM does: it is handed each compressed frame in a minimal file of our own
making, so it never sees a foreign header.
"""

from __future__ import annotations

import struct
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from edgeflow_med.errors import ReadError
from edgeflow_med.io.dicom.files import Source
from edgeflow_med.io.wording import one_line

# Only these: on broken RLE, GDCM divides by zero and takes the process with it.
_BY_ITK = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
# Start of frame, baseline to lossless (ITU-T T.81 table B.1); C4, C8 and CC between them mean something else.
_JPEG_FRAME_MARKERS = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_PIXEL_ATTRIBUTES = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)


def decode(dataset: Dataset, numbers: Sequence[int], path: Source) -> Iterator[NDArray[Any]]:
    """The stored values, ``(rows, columns)`` each, of the frames ``numbers`` (zero-based), one after the other.

    Raises:
        ReadError: Neither pydicom nor SimpleITK can decode them; ``path`` is named.
    """
    done = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for frame in iter_pixels(dataset, indices=numbers, raw=True):
                yield frame
                done += 1
        return
    except (KeyboardInterrupt, SystemExit, MemoryError, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a decoder written in Rust panics with a BaseException
        reason = f"{type(error).__name__}: {one_line(error)}"
    if dataset.file_meta.TransferSyntaxUID in _BY_ITK:
        try:
            yield from decode_by_itk(dataset, numbers[done:])
            return
        except (RuntimeError, OSError, ValueError, AttributeError) as error:
            reason = one_line(error)  # pydicom has only said which plugins it lacks
    raise ReadError(f"{path.name}: the pixels cannot be decoded ({reason}).")


def decode_by_itk(dataset: Dataset, numbers: Sequence[int]) -> list[NDArray[Any]]:
    """The stored values of compressed frames by SimpleITK.

    Raises:
        RuntimeError: SimpleITK cannot decode them either.
    """
    import SimpleITK

    wanted, found = set(numbers), {}
    count = int(dataset.get("NumberOfFrames") or 1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "frame.dcm")
        for number, frame in enumerate(generate_frames(dataset.PixelData, number_of_frames=count)):
            if number in wanted:
                _check_jpeg(frame, int(dataset.Rows), int(dataset.Columns))
                _minimal(dataset, frame).save_as(file, enforce_file_format=True)
                found[number] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file), imageIO="GDCMImageIO"))
    return [np.squeeze(found[number], axis=0) for number in numbers]


def _check_jpeg(frame: bytes, rows: int, columns: int) -> None:
    """Refuse a JPEG stream of another size than the header's, or of impossible precision: GDCM crashes on either.

    Raises:
        ValueError: It is.
    """
    place = 2  # after the marker that begins the image
    while frame[place : place + 1] == b"\xff" and place + 10 <= len(frame):
        marker, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4])
        if marker in _JPEG_FRAME_MARKERS:
            precision, height, width, components = struct.unpack(">BHHB", frame[place + 4 : place + 10])
            if (height, width, components) != (rows, columns, 1) or not 2 <= precision <= 16:
                raise ValueError(f"JPEG of {height} x {width} x {components}, {precision} bits")
            return
        place += 2 + length
    raise ValueError("JPEG without a frame header")


def _minimal(dataset: Dataset, frame: bytes) -> Dataset:
    minimal = Dataset()
    minimal.file_meta = FileMetaDataset()
    minimal.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    minimal.SOPClassUID, minimal.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    for keyword in _PIXEL_ATTRIBUTES:
        setattr(minimal, keyword, dataset.get(keyword))
    minimal.PixelData = encapsulate([frame])
    minimal["PixelData"].VR = "OB"
    return minimal
