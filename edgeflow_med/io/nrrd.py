"""NRRD and MHA: images in by SimpleITK, label maps and 3D Slicer segmentations out.

The writer is our own, a text header and a gzip stream: pynrrd cannot write a label that is not ASCII.

The keys of ``.seg.nrrd`` are those of 3D Slicer's segmentation storage node. Overlapping segments go to further layers:
one label map each, along a leading list axis.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import ReadError, WriteError
from edgeflow_med.io.atomic import write_verified
from edgeflow_med.segmentation import Code, Segment, Segmentation
from edgeflow_med.volume import Volume

# Characters that separate the parts of a serialised terminology entry and of a segment's tags.
_RESERVED = str.maketrans("^~|", "   ")
_DETACHED = (b"data file:", b"datafile:", b"elementdatafile = ")


def read_itk(path: Path, *, modality: str | None = None) -> Volume:
    """Read a three-dimensional grey-value NRRD or MHA image.

    Raises:
        ReadError: Broken, not three-dimensional, or with its voxels in another file.
    """
    array, affine, _ = read_itk_array(path)
    if array.ndim != 3:
        raise ReadError(f"{path.name} holds {array.shape[3]} values per voxel, not one; give a CT or MR image.")
    notes = []
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
        broken = int(np.count_nonzero(~np.isfinite(array)))
        if broken:
            array = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)
            notes.append(f"{broken} voxels are not numbers (NaN or infinite) and were read as 0.")
    return Volume(array, affine, modality=modality or "", name=path.stem, warnings=tuple(notes))


def read_itk_array(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64], dict[str, str]]:
    """Voxels ``(K, J, I)`` or, of several components, ``(K, J, I, n)``; affine to LPS mm; the file's keys and values.

    Raises:
        ReadError: Broken, not three-dimensional, or with its voxels in another file.
    """
    import SimpleITK

    _check_attached(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise ReadError(f"Cannot read {path.name}: {' '.join(str(error).split())[-160:]}") from None
    if image.GetDimension() != 3:
        raise ReadError(f"{path.name} has {image.GetDimension()} dimensions, not three; give one scan.")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    keys = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    return SimpleITK.GetArrayFromImage(image), affine[:, [2, 1, 0, 3]], keys


def write_nrrd(segmentation: Segmentation, path: Path) -> None:
    """Write ``.seg.nrrd`` for 3D Slicer, or a plain label map for any other ``.nrrd``.

    Raises:
        WriteError: Overlapping segments in a plain label map, or a file that did not read back.
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
    header = _header(segmentation, layers)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(header.encode())
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as stream:
                # The fastest axis comes first: the list of layers if there are several, then i, j and k.
                stream.write(np.ascontiguousarray(np.moveaxis(labels, 0, -1)).data)

    write_verified(path, write, lambda temporary: _verify(temporary, labels, segmentation))


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


def terminology(category: Code, kind: Code) -> str:
    """A terminology entry as 3D Slicer serialises it: context, category, type, modifier, anatomic region."""

    def triple(code: Code) -> str:
        return "^".join(part.translate(_RESERVED) for part in (code.scheme, code.value, code.meaning))

    types = f"Segmentation category and type - DICOM master list~{triple(category)}~{triple(kind)}~^^"
    return f"{types}~Anatomic codes - DICOM master list~^^~^^"


def _header(segmentation: Segmentation, layers: list[list[int]]) -> str:
    k, j, i = segmentation.volume.shape
    affine = segmentation.volume.affine
    directions = " ".join(_vector(affine[:3, axis]) for axis in (2, 1, 0))
    listed = (f"{len(layers)} ", "none ", "list ") if len(layers) > 1 else ("", "", "")
    fields = {
        "type": "unsigned char",
        "dimension": "4" if len(layers) > 1 else "3",
        "space": "left-posterior-superior",
        "sizes": f"{listed[0]}{i} {j} {k}",
        "space directions": listed[1] + directions,
        "kinds": listed[2] + "domain domain domain",
        "encoding": "gzip",
        "space origin": _vector(affine[:3, 3]),
    }
    keys = {
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    for index, (segment, mask) in enumerate(zip(segmentation.segments, segmentation.masks, strict=True)):
        layer = next(n for n, numbers in enumerate(layers) if segment.number in numbers)
        keys |= {f"Segment{index}_{key}": value for key, value in _segment_keys(segment, mask, layer).items()}
    lines = ["NRRD0005", *(f"{key}: {value}" for key, value in fields.items())]
    return "\n".join([*lines, *(f"{key}:={value}" for key, value in keys.items()), "", ""])


def _vector(values: NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


def _segment_keys(segment: Segment, mask: NDArray[np.bool_], layer: int) -> dict[str, str]:
    extent = []
    for axis in (2, 1, 0):
        used = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        extent += [str(used[0]), str(used[-1])]
    tags = {
        "TerminologyEntry": terminology(segment.category, segment.type),
        "DICOM.SegmentAlgorithmType": segment.algorithm_type.value,
        "DICOM.SegmentAlgorithmName": segment.algorithm_name,
        "DICOM.SegmentAlgorithmVersion": segment.algorithm_version,
        "DICOM.TrackingUID": segment.tracking_uid,
    }
    return {
        "ID": f"Segment_{segment.number}",
        "Name": " ".join(segment.label.split()),
        "NameAutoGenerated": "0",
        "Color": " ".join(f"{channel / 255:.6g}" for channel in segment.colour),
        "ColorAutoGenerated": "0",
        "LabelValue": str(segment.number),
        "Layer": str(layer),
        "Extent": " ".join(extent),
        "Tags": "".join(f"{key}:{value}|" for key, value in tags.items() if value),
    }


def _check_attached(path: Path) -> None:
    """Refuse a header that points to another file for its voxels: a path from outside is not to be followed."""
    with path.open("rb") as file:
        head = file.read(65536).split(b"\n\n")[0].lower()
    for line in head.splitlines():
        if line.startswith(_DETACHED) and line.split()[-1] != b"local":
            raise ReadError(f"{path.name} keeps its voxels in another file; give one file that holds both.")


def _verify(path: Path, labels: NDArray[np.uint8], segmentation: Segmentation) -> None:
    """Read back by SimpleITK, an independent implementation, and compare voxels, geometry and names."""
    array, affine, keys = read_itk_array(path)
    layers = np.moveaxis(array, -1, 0) if array.ndim == 4 else array[None]
    if not np.array_equal(layers, labels):
        raise WriteError("The NRRD file did not read back as written: voxels differ.")
    if not segmentation.volume.same_grid(affine, labels.shape[1:]):
        raise WriteError("The NRRD file did not read back as written: its geometry differs.")
    for index, segment in enumerate(segmentation.segments):
        if keys.get(f"Segment{index}_Name") != " ".join(segment.label.split()):
            raise WriteError(
                f"The NRRD file did not read back as written: the name of segment {segment.number} differs."
            )
