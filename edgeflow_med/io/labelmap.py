"""Segments from label maps: NIfTI, NRRD, MHA, and 3D Slicer's ``.seg.nrrd`` with its names and codes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import GeometryError, ReadError
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

MAX_SEGMENTS = 255


def read_labelmap(path: Path, volume: Volume) -> Segmentation:
    """Read a label map onto the grid of ``volume``; each value but 0 is a segment, numbered anew from 1.

    What it is called, and its codes, come from the file's own keys (``.seg.nrrd``) or from what BIDS keeps beside it.

    Raises:
        ReadError: Broken, not a label map, or empty; the same of a file beside it that says what it holds.
        GeometryError: It lies on another grid.
    """
    beside: dict[int, Segment] = {}
    if path.name.lower().endswith((".nii", ".nii.gz")):
        from edgeflow_med.io.bids import segments_beside
        from edgeflow_med.io.nifti import read_nifti

        beside = segments_beside(path)
        image = read_nifti(path)
        layers, affine, keys = image.array[None], image.affine, dict[str, str]()
    else:
        from edgeflow_med.io.itk import read_itk_array

        array, affine, keys = read_itk_array(path)
        layers = np.moveaxis(array, -1, 0) if array.ndim == 4 else array[None]
    layers = _on_grid(path, layers, affine, volume)
    if not np.array_equal(layers, np.round(layers)) or layers.min() < 0:
        raise ReadError(f"{path.name} is not a label map: its values are not whole numbers from 0 up.")
    found = _described(layers, keys) or _by_value(layers)
    if not 0 < len(found) <= MAX_SEGMENTS:
        raise ReadError(f"{path.name} holds {len(found)} segments; give a label map with 1 to {MAX_SEGMENTS}.")
    segments = tuple(_segment(number, own, beside) for number, (own, _) in enumerate(found, 1))
    return Segmentation(volume, segments, tuple(mask for _, mask in found))


def _on_grid(path: Path, layers: NDArray[Any], affine: NDArray[np.float64], volume: Volume) -> NDArray[np.generic]:
    """Layers ``(n, K, J, I)`` on the grid of a volume, whose voxels may be a part of it, in another order of axes.

    Other programs turn the axes (dcm2niix) or crop what is empty (3D Slicer); no voxel is resampled.

    Raises:
        GeometryError: The voxels of the two grids do not coincide.
    """
    if volume.same_grid(affine, layers.shape[1:]):
        return layers
    to_volume = np.round(np.linalg.inv(volume.affine) @ affine)
    turn, first = to_volume[:3, :3], to_volume[:3, 3]
    size = np.array(layers.shape[1:])
    ends = np.array([first, first + turn @ (size - 1)])
    one_to_one = (np.abs(turn).sum(axis=0) == 1).all() and (np.abs(turn).sum(axis=1) == 1).all()
    inside = (ends >= 0).all() and (ends < volume.shape).all()
    grid = Volume(np.broadcast_to(np.uint8(0), layers.shape[1:]), affine)
    if not (one_to_one and inside and grid.same_grid(volume.affine @ to_volume, grid.shape)):
        raise GeometryError(
            f"{path.name} lies on another grid than the volume (shape {layers.shape[1:]} against {volume.shape}, or "
            "another place); resample it, or give the image that it was made on."
        )
    order = np.abs(turn).argmax(axis=1)
    turned_over = tuple(axis + 1 for axis in range(3) if turn[axis].sum() < 0)
    turned = np.flip(layers.transpose(0, *(order + 1)), turned_over)
    placed = np.zeros((len(layers), *volume.shape), layers.dtype)
    low = ends.min(axis=0).astype(int)
    placed[:, *(slice(start, start + n) for start, n in zip(low, turned.shape[1:], strict=True))] = turned
    return placed


def _by_value(layers: NDArray[Any]) -> list[tuple[dict[str, str], NDArray[np.bool_]]]:
    values = np.unique(layers).tolist()
    if len(values) > MAX_SEGMENTS + 1:
        return [({}, np.zeros(0, np.bool_))] * (len(values) - 1)
    return [
        ({"Name": f"Segment {int(v)}", "LabelValue": f"{int(v)}"}, (layers == v).any(axis=0)) for v in values if v != 0
    ]


def _described(layers: NDArray[Any], keys: dict[str, str]) -> list[tuple[dict[str, str], NDArray[np.bool_]]]:
    """The segments that a Slicer file's keys describe."""
    found = []
    for index in range(MAX_SEGMENTS + 1):
        prefix = f"Segment{index}_"
        own = {key.removeprefix(prefix): value for key, value in keys.items() if key.startswith(prefix)}
        if not own:
            break
        try:
            layer, value = int(own.get("Layer", 0)), int(own["LabelValue"])
            found.append((own, np.asarray(layers[layer] == value)))
        except (KeyError, ValueError, IndexError):
            raise ReadError(f"Segment {index} names no layer and label value of the file; it is broken.") from None
    for layer, labels in enumerate(layers if found else ()):
        known = [0, *(int(own["LabelValue"]) for own, _ in found if int(own.get("Layer", 0)) == layer)]
        if not np.isin(labels, known).all():
            raise ReadError("The file holds label values that none of its segments describes; it is broken.")
    return found


def _segment(number: int, keys: dict[str, str], beside: dict[int, Segment]) -> Segment:
    if int(keys["LabelValue"]) in beside:
        return replace(beside[int(keys["LabelValue"])], number=number)
    tags = dict(part.split(":", 1) for part in keys.get("Tags", "").split("|") if ":" in part)
    category, kind = codes_of(tags.get("TerminologyEntry", ""))
    algorithm = tags.get("DICOM.SegmentAlgorithmType", "")
    known = algorithm in list(AlgorithmType)
    return Segment(
        number=number,
        label=keys.get("Name") or f"Segment {number}",
        category=category,
        type=kind,
        algorithm_type=AlgorithmType(algorithm) if known else AlgorithmType.SEMIAUTOMATIC,
        algorithm_name=tags.get("DICOM.SegmentAlgorithmName", ""),
        algorithm_version=tags.get("DICOM.SegmentAlgorithmVersion", ""),
        tracking_uid=tags.get("DICOM.TrackingUID", ""),
        colour=_colour(keys.get("Color", ""), number),
        tracking_id=tags.get("DICOM.TrackingID", ""),
        region=region_of(tags.get("TerminologyEntry", "")),
    )


def codes_of(entry: str) -> tuple[Code, Code]:
    """Category and type of a serialised Slicer terminology entry; a lesion if it has none."""
    codes = [_code(part) for part in entry.split("~")[1:3]]
    return (codes[0], codes[1]) if len(codes) == 2 and codes[0] and codes[1] else (MORPHOLOGICALLY_ABNORMAL, LESION)


def region_of(entry: str) -> Code | None:
    """Anatomic region of a serialised Slicer terminology entry, if it names one."""
    parts = entry.split("~")
    return _code(parts[5]) if len(parts) > 5 else None


def _code(part: str) -> Code | None:
    scheme, _, rest = part.partition("^")
    value, _, meaning = rest.partition("^")
    return Code(value, scheme, meaning) if value else None


def _colour(text: str, number: int) -> tuple[int, int, int]:
    try:
        red, green, blue = (round(float(part) * 255) for part in text.split())
    except ValueError:
        return PALETTE[(number - 1) % len(PALETTE)]
    return red, green, blue
