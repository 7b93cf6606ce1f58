"""NRRD: label maps and 3D Slicer segmentations out; `edgeflow_med.io.itk` reads.

The writer is our own, a text header and a gzip stream: pynrrd cannot write a label that is not ASCII.

The keys of ``.seg.nrrd`` are those of 3D Slicer's segmentation storage node. Overlapping segments go to further layers:
one label map each, along a leading list axis.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import WriteError
from edgeflow_med.io.atomic import Part
from edgeflow_med.io.dicom_text import printable
from edgeflow_med.io.itk import read_itk_array
from edgeflow_med.segmentation import Code, Segment, Segmentation

# Characters that separate the parts of a serialised terminology entry and of a segment's tags.
_RESERVED = str.maketrans("^~|", "   ")


def nrrd_part(segmentation: Segmentation, path: Path) -> Part:
    """A ``.seg.nrrd`` for 3D Slicer, or a plain label map for any other ``.nrrd``, ready to be written.

    Raises:
        WriteError: Overlapping segments in a plain label map.
    """
    layers = layers_of(segmentation)
    if len(layers) > 1 and not path.name.lower().endswith(".seg.nrrd"):
        raise WriteError(
            f"Cannot write {path}: segments overlap, which a label map cannot hold; give .dcm or .seg.nrrd."
        )
    labels = np.zeros((len(layers), *segmentation.volume.shape), np.uint8)
    for layer, numbers in zip(labels, layers, strict=True):
        for number in numbers:
            layer[segmentation.masks[number - 1]] = number
    keys = _keys(segmentation, layers)
    header = _header(segmentation, len(layers), keys)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(header.encode())
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as stream:
                # The fastest axis comes first: the list of layers if there are several, then i, j and k.
                stream.write(np.ascontiguousarray(np.moveaxis(labels, 0, -1)).data)

    return Part(path, write, lambda temporary: _verify(temporary, labels, segmentation, keys))


def layers_of(segmentation: Segmentation) -> list[list[int]]:
    """Segment numbers by layer, each in the first layer where it overlaps nothing."""
    layers: list[list[int]] = []
    taken: list[NDArray[np.bool_]] = []
    for segment, mask in zip(segmentation.segments, segmentation.masks, strict=True):
        home = next((n for n, used in enumerate(taken) if not (used & mask).any()), None)
        if home is None:
            layers.append([segment.number])
            taken.append(mask.copy())
        else:
            layers[home].append(segment.number)
            taken[home] |= mask
    return layers


def terminology(category: Code, kind: Code, region: Code | None = None) -> str:
    """A terminology entry as 3D Slicer serialises it: context, category, type, modifier, anatomic region."""

    def triple(code: Code | None) -> str:
        parts = (code.scheme, code.value, code.meaning) if code else ("", "", "")
        return "^".join(_word(part) for part in parts)

    types = f"Segmentation category and type - DICOM master list~{triple(category)}~{triple(kind)}~^^"
    return f"{types}~Anatomic codes - DICOM master list~{triple(region)}~^^"


def _header(segmentation: Segmentation, layers: int, keys: dict[str, str]) -> str:
    k, j, i = segmentation.volume.shape
    affine = segmentation.volume.affine
    directions = " ".join(_vector(affine[:3, axis]) for axis in (2, 1, 0))
    listed = (f"{layers} ", "none ", "list ") if layers > 1 else ("", "", "")
    fields = {
        "type": "unsigned char",
        "dimension": "4" if layers > 1 else "3",
        "space": "left-posterior-superior",
        "sizes": f"{listed[0]}{i} {j} {k}",
        "space directions": listed[1] + directions,
        "kinds": listed[2] + "domain domain domain",
        "encoding": "gzip",
        "space origin": _vector(affine[:3, 3]),
    }
    lines = ["NRRD0005", *(f"{key}: {value}" for key, value in fields.items())]
    escaped = (f"{key}:={value}".replace("\\", "\\\\") for key, value in keys.items())
    return "\n".join([*lines, *escaped, "", ""])


def _keys(segmentation: Segmentation, layers: list[list[int]]) -> dict[str, str]:
    """Keys and values, which are single lines, as readers give them back."""
    keys = {
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    for index, (segment, mask) in enumerate(zip(segmentation.segments, segmentation.masks, strict=True)):
        layer = next(n for n, numbers in enumerate(layers) if segment.number in numbers)
        keys |= {f"Segment{index}_{key}": value for key, value in _segment_keys(segment, mask, layer).items()}
    return keys


def _vector(values: NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


def _word(text: str) -> str:
    """Text on one line without the characters that separate."""
    return printable(text.translate(_RESERVED))


def _segment_keys(segment: Segment, mask: NDArray[np.bool_], layer: int) -> dict[str, str]:
    extent = []
    for axis in (2, 1, 0):
        used = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        extent += [str(used[0]), str(used[-1])]
    tags = {
        "TerminologyEntry": terminology(segment.category, segment.type, segment.region),
        "Segmentation.Status": "inprogress" if segment.unreviewed_slices else "",  # as Slicer's segment table shows it
        "DICOM.SegmentAlgorithmType": segment.algorithm_type.value,
        "DICOM.SegmentAlgorithmName": _word(segment.algorithm_name),
        "DICOM.SegmentAlgorithmVersion": _word(segment.algorithm_version),
        "DICOM.TrackingUID": segment.tracking_uid,
        "DICOM.TrackingID": _word(segment.tracking_id),
    }
    return {
        "ID": f"Segment_{segment.number}",
        "Name": printable(segment.label),
        "NameAutoGenerated": "0",
        "Color": " ".join(f"{channel / 255:.6g}" for channel in segment.colour),
        "ColorAutoGenerated": "0",
        "LabelValue": str(segment.number),
        "Layer": str(layer),
        "Extent": " ".join(extent),
        "Tags": "".join(f"{key}:{value}|" for key, value in tags.items() if value),
    }


def _verify(path: Path, labels: NDArray[np.uint8], segmentation: Segmentation, keys: dict[str, str]) -> None:
    """Read back by SimpleITK, an independent implementation, and compare voxels, geometry and every key."""
    array, affine, found = read_itk_array(path)
    layers = np.moveaxis(array, -1, 0) if array.ndim == 4 else array[None]
    if not np.array_equal(layers, labels):
        raise WriteError("The NRRD file did not read back as written: voxels differ.")
    if not segmentation.volume.same_grid(affine, labels.shape[1:]):
        raise WriteError("The NRRD file did not read back as written: its geometry differs.")
    for key, value in keys.items():
        if found.get(key, "") != value:
            raise WriteError(f"The NRRD file did not read back as written: {key} differs.")
