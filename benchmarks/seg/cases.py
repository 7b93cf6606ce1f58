"""What is written and judged: grids of all kinds, several segments, all encodings, a real series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from benchmarks.seg.judges import READERS, Case
from benchmarks.seg.machine import ROOT
from edgeflow_med.io.local import read_volume
from edgeflow_med.segmentation import AlgorithmType, Code, LabelMasks, Segment, Segmentation, new_tracking_uid
from edgeflow_med.volume import Volume
from tests.phantoms import AXIAL, Phantom, ellipsoid, flipped, instances, write_enhanced

# Neither square nor straight, so that no mistake of geometry is forgiven.
OBLIQUE = Phantom(shape=(40, 96, 128), spacing=(2.5, 1.5, 0.8))
SMALL = Phantom(shape=(12, 40, 56), spacing=(2.5, 1.5, 0.8))
LARGE = (300, 512, 512)
_EVERYBODY = (*READERS, "pydicom")
_SERIES = ROOT / "sample_data" / "rider_lung_ct" / "series"
_LIVER = (Code("123037004", "SCT", "Anatomical Structure"), Code("10200004", "SCT", "Liver"))


def cases(folder: Path, *, large: bool = True) -> Iterator[Case]:
    """All cases, one at a time.

    Args:
        folder: For source files.
        large: With the volumes of 512 x 512 x 300 voxels.
    """
    oblique = phantom_volume(OBLIQUE)
    mask = ellipsoid(OBLIQUE)
    yield Case("oblique", one(oblique, mask), _EVERYBODY)
    yield Case("oblique, three segments that overlap", several(oblique, mask), _EVERYBODY)
    for turns in range(1, 8):
        phantom = flipped(OBLIQUE, k=bool(turns & 4), j=bool(turns & 2), i=bool(turns & 1))
        axes = "".join(axis for axis, bit in (("k", 4), ("j", 2), ("i", 1)) if turns & bit)
        yield Case(f"flipped along {axes}", one(phantom_volume(phantom), mask), _EVERYBODY)
    tilted = replace(AXIAL, shape=OBLIQUE.shape, step=(0.0, 2.5 * np.tan(np.radians(15)), 2.5))
    without_dcmqi = tuple(reader for reader in _EVERYBODY if reader != "dcmqi")  # it writes nothing there
    yield Case("gantry tilt of 15 degrees", one(phantom_volume(tilted), mask), without_dcmqi)
    single = phantom_volume(OBLIQUE, slices=slice(20, 21))
    yield Case("single slice", one(single, mask[20:21]), _EVERYBODY)
    write_enhanced(folder / "enhanced.dcm", OBLIQUE)
    yield Case("enhanced multi-frame", one(read_volume([folder / "enhanced.dcm"]), mask), _EVERYBODY)
    real = read_volume([_SERIES])
    yield Case("real CT series", one(real, ellipsoid(Phantom(shape=real.shape))), _EVERYBODY)
    yield Case("de-identified", one(oblique, mask), _EVERYBODY, deidentify=True)
    if large:
        yield Case("512 x 512 x 300, 1 segment", ellipsoids(LARGE, 1), _EVERYBODY)
        yield Case("512 x 512 x 300, 10 segments", ellipsoids(LARGE, 10), _EVERYBODY)
    many = ellipsoids(LARGE if large else OBLIQUE.shape, 10)
    for encoding, readers in (
        ("deflated", ("identity", "pixelmed", "dcmqi", "ohif", "pydicom")),  # dciodvfy cannot inflate
        ("labelmap", ("identity", "dcmqi", "ohif", "pydicom")),  # the validators do not know the SOP class yet
    ):
        yield Case(f"oblique, {encoding}", one(oblique, mask), readers, encoding)
        yield Case(f"10 segments, {encoding}", many, readers, encoding)


def one(volume: Volume, mask: NDArray[np.bool_]) -> Segmentation:
    """One semi-automatic segment."""
    return Segmentation(volume, (_segment(1, "Lesion"),), (mask,))


def several(volume: Volume, mask: NDArray[np.bool_]) -> Segmentation:
    """Three segments of three algorithm types, two of which overlap."""
    segments = (
        _segment(1, "Lesion"),
        replace(_segment(2, "Liver"), category=_LIVER[0], type=_LIVER[1], algorithm_type=AlgorithmType.AUTOMATIC),
        replace(_segment(3, "Painted"), algorithm_type=AlgorithmType.MANUAL),
    )
    return Segmentation(volume, segments, (mask, np.roll(mask, 3, axis=2), np.roll(mask, -50, axis=2)))


def two(phantom: Phantom) -> Segmentation:
    """Two segments side by side, for defects to be planted in."""
    mask = ellipsoid(phantom)
    segments = (_segment(1, "Lesion"), _segment(2, "Cyst"))
    return Segmentation(phantom_volume(phantom), segments, (mask, np.roll(mask, -22, axis=2)))


def phantom_volume(phantom: Phantom, slices: slice = slice(None)) -> Volume:
    """A phantom as if read from its series."""
    datasets = instances(phantom)[slices]
    for dataset in datasets:
        del dataset.PixelData
    affine = phantom.affine
    affine[:3, 3] = [float(value) for value in datasets[0].ImagePositionPatient]
    return Volume(phantom.array[slices], affine, modality="CT", name="phantom", headers=tuple(datasets))


def ellipsoids(shape: tuple[int, int, int], count: int) -> Segmentation:
    """Ellipsoids in one label map, on a volume whose headers are those of an axial CT series."""
    phantom = replace(AXIAL, shape=(shape[0], 2, 2), spacing=(1.0, 0.8, 0.8))

    def resize(header: Dataset, _: int) -> None:
        header.Rows, header.Columns = shape[1:]
        del header.PixelData

    headers = tuple(instances(phantom, resize))
    volume = Volume(np.full(shape, -1000, np.int16), phantom.affine, modality="CT", headers=headers)
    segments = tuple(_segment(number, f"Lesion {number}") for number in range(1, count + 1))
    return Segmentation(volume, segments, LabelMasks(_labels(shape, count), count))


def _labels(shape: tuple[int, int, int], count: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(7)
    labels, size = np.zeros(shape, np.uint8), np.array(shape)
    for number in range(1, count + 1):
        centre, radius = size * random.uniform(0.3, 0.7, 3), size * random.uniform(0.08, 0.12, 3)
        low, high = np.maximum(0, centre - radius).astype(int), np.minimum(size, centre + radius + 1).astype(int)
        box = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
        distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip(np.ogrid[box], centre, radius, strict=True))
        labels[box][np.asarray(distance) < 1] = number
    return labels


def _segment(number: int, label: str) -> Segment:
    uid = new_tracking_uid()
    return Segment(number, label, algorithm_name="EdgeFlow", algorithm_version="1", tracking_uid=uid)
