"""Headers as bytes, for the way out of the reading process: in the encoding that they were read in, uninterpreted."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from edgeflow_med.io.dicom.frames import MOST_TOLD

Encoding = tuple[bool, bool]  # implicit VR, little endian


def pack_headers(headers: Sequence[Dataset]) -> tuple[list[bytes], list[Encoding], tuple[str, ...]]:
    """Headers as bytes, how each is encoded, and a warning that names attributes too broken to be kept."""
    blobs: list[bytes] = []
    encodings: list[Encoding] = []
    lost: set[str] = set()
    for header in headers:
        implicit, little = header.original_encoding
        encoding = (bool(implicit), little is not False)
        try:
            blob = _written(header, encoding)
        except Exception:  # noqa: BLE001 - pydicom raises whatever a broken element leads it into
            broken = [tag for tag in header.keys() if not _is_writable(header, tag, encoding)]  # noqa: SIM118 - elements
            lost |= {str(tag) for tag in broken}
            for tag in broken:
                del header[tag]
            blob = _written(header, encoding)
        blobs.append(blob)
        encodings.append(encoding)
    if not lost:
        return blobs, encodings, ()
    return blobs, encodings, (f"Broken attributes were left out: {', '.join(sorted(lost)[:MOST_TOLD])}.",)


def unpack_headers(blobs: Sequence[Any], encodings: Sequence[Sequence[bool]]) -> tuple[Dataset, ...]:
    """The inverse of `pack_headers`; encodings may have passed through JSON."""
    return tuple(
        read_dataset(io.BytesIO(bytes(blob)), implicit, little)
        for blob, (implicit, little) in zip(blobs, encodings, strict=True)
    )


def _written(header: Dataset, encoding: Encoding) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = encoding
    write_dataset(buffer, header)
    return buffer.getvalue()


def _is_writable(header: Dataset, tag: int, encoding: Encoding) -> bool:
    try:
        _written(header[tag : tag + 1], encoding)
    except Exception:  # noqa: BLE001 - as above
        return False
    return True
