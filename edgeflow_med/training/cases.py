"""Labelled cases in the Medical Segmentation Decathlon layout, held in memory as small integer arrays."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import ReadError
from edgeflow_med.windows import Window, automatic_window, looks_like_hu

Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Case:
    """One image with its labels.

    Attributes:
        dataset: Name of the data set's folder.
        name: File name without suffix.
        image: ``(X, Y, Z)`` as stored: int16 or uint8.
        labels: ``(X, Y, Z)`` uint8; 0 is background. Objects that have no name are in ``objects``.
        spacing: Millimetres along the three axes; nominal for some sets.
        hounsfield: Whether the values are HU, so that windows make sense.
        objects: For pseudo-labelled slices, binary masks ``(H, W)`` by (axis, slice).
    """

    dataset: str
    name: str
    image: NDArray[np.generic]
    labels: NDArray[np.uint8]
    spacing: tuple[float, float, float]
    hounsfield: bool
    objects: dict[tuple[int, int], list[NDArray[np.bool_]]]

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes to slice along: all three if the voxels are near isotropic, else the one across the thick slices."""
        if min(self.image.shape) < 16:
            return (int(np.argmin(self.image.shape)),)
        if max(self.spacing) <= 1.6 * min(self.spacing):
            return (0, 1, 2)
        return (int(np.argmax(self.spacing)),)

    @cached_property
    def window(self) -> Window:
        """The whole image's window."""
        return automatic_window(self.image)

    @cached_property
    def presence(self) -> dict[int, dict[int, NDArray[np.int_]]]:
        """By axis in :attr:`axes` and label value: the slices that hold it, ascending."""
        found: dict[int, dict[int, NDArray[np.int_]]] = {}
        for axis in self.axes:
            seen = [
                np.flatnonzero(np.bincount(plane(self.labels, axis, k).ravel())) for k in range(self.labels.shape[axis])
            ]
            values = {int(value) for part in seen for value in part if value > 0}
            found[axis] = {v: np.array([k for k, part in enumerate(seen) if v in part]) for v in sorted(values)}
        return found


def plane(array: NDArray[Value], axis: int, k: int) -> NDArray[Value]:
    """Slice ``k`` across an axis of a volume, without a copy."""
    return array[(slice(None),) * axis + (k,)]


def is_validation(case: str, share: float = 0.12) -> bool:
    """Whether a case belongs to the validation split: a fixed function of its name, so a patient never moves.

    Cases named ``PATIENT__REST`` go where their patient goes.
    """
    return zlib.crc32(case.partition("__")[0].encode()) % 1000 < share * 1000


def validation_names(names: Collection[str]) -> frozenset[str]:
    """Those cases of one data set that are never trained on; none where that would leave nothing to learn from."""
    found = frozenset(name for name in names if is_validation(name))
    return found if len(found) < len(names) else frozenset()


def read_cases(folder: Path, pseudo: Path | None = None) -> list[Case]:
    """All cases of one data set.

    Args:
        folder: Holds ``dataset.json``, ``imagesTr`` and, unless every object is a pseudo-label, ``labelsTr``.
        pseudo: Folder of class-free objects, one ``.npz`` a slice; see ``docs/how-to/train.md``.

    Raises:
        ReadError: The folder holds no images.
    """
    images = folder / "imagesTr"
    paths = sorted((images if images.is_dir() else folder).glob("*.nii.gz"))
    if not paths:
        raise ReadError(f"No images in {images}; give a folder in the Decathlon layout (imagesTr, labelsTr).")
    manifest = folder / "dataset.json"
    modality = json.loads(manifest.read_text("utf-8"))["modality"]["0"] if manifest.exists() else ""
    return [_read_case(folder, path, modality, pseudo) for path in paths]


def _read_case(folder: Path, path: Path, modality: str, pseudo: Path | None) -> Case:
    picture = nib.nifti1.load(path)
    image = np.asanyarray(picture.dataobj)
    image = image.astype(np.uint8 if image.dtype == np.uint8 else np.int16)
    label_path = folder / "labelsTr" / path.name
    labels = np.zeros(image.shape, np.uint8)
    if label_path.exists():
        labels = np.asanyarray(nib.nifti1.load(label_path).dataobj).astype(np.uint8)
    name = path.name.removesuffix(".nii.gz")
    objects = _read_objects(pseudo, folder, name) if pseudo else {}
    x, y, z = (float(v) for v in picture.header.get_zooms()[:3])
    hounsfield = modality != "MR" and image.dtype == np.int16 and looks_like_hu(image)
    return Case(folder.name, name, image, labels, (x, y, z), hounsfield, objects)


def _read_objects(pseudo: Path, folder: Path, name: str) -> dict[tuple[int, int], list[NDArray[np.bool_]]]:
    found: dict[tuple[int, int], list[NDArray[np.bool_]]] = {}
    for path in sorted(pseudo.glob(f"*_{folder.name}_{name}__a*_k*.npz")):
        axis, k = path.stem.rsplit("__a", 1)[1].split("_")[:2]
        with np.load(path, allow_pickle=False) as stored:
            masks = _unpack(tuple(stored["shape"]), stored["boxes"].astype(int), stored["bits"])
        if masks:  # a slice on which nothing was found is no slice to learn from
            found.setdefault((int(axis), int(k[1:])), []).extend(masks)
    return found


def _unpack(shape: tuple[int, ...], boxes: NDArray[np.int_], bits: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
    masks, offset = [], 0
    for r0, r1, c0, c1 in boxes:
        count = int((r1 - r0) * (c1 - c0))
        size = (count + 7) // 8
        mask = np.zeros(shape, bool)
        mask[r0:r1, c0:c1] = np.unpackbits(bits[offset : offset + size], count=count).reshape(r1 - r0, c1 - c0) > 0
        masks.append(mask)
        offset += size
    return masks
