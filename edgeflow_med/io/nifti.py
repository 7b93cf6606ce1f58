"""NIfTI: images in, label maps out.

NIfTI keeps (i, j, k) and RAS, we keep (k, j, i) and LPS; both conversions here are transpositions and sign flips, so a
label map written for a NIfTI image has the shape and the affine of that image's own file.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import ReadError, WriteError
from edgeflow_med.io.atomic import Part
from edgeflow_med.io.limits import check_claim
from edgeflow_med.io.wording import one_line
from edgeflow_med.segmentation import Segmentation
from edgeflow_med.volume import Volume

SUFFIXES = (".nii", ".nii.gz")
_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_KJI = [2, 1, 0, 3]
# How far apart the corners may be that sform and qform give, in mm, before it is worth a warning.
_FORM_TOLERANCE_MM = 0.05
_DESCRIPTION = "EdgeFlow-Med, not for clinical use"
_INTENTS = {"label": "1002", "none": "0"}
_MM = {"meter": 1000.0, "micron": 0.001}


def affine_to_nifti(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Index (k, j, i, 1) to LPS mm -> index (i, j, k, 1) to RAS mm; its own inverse up to naming."""
    return (_RAS @ affine)[:, _KJI] + 0.0


affine_from_nifti = affine_to_nifti


def read_nifti(path: Path, *, modality: str | None = None) -> Volume:
    """Read a three-dimensional NIfTI image.

    Raises:
        ReadError: Not NIfTI, truncated, not three-dimensional, or not made of real numbers.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image = nibabel.load(path)
        if not isinstance(image, (nibabel.Nifti1Image, nibabel.Nifti1Pair)):
            raise ReadError(f"{path.name} is not NIfTI, though its name says so; give a .nii or .nii.gz file.")
        _check_form(path, image.shape, image.get_data_dtype())
        packed = path.name.lower().endswith(".gz")
        check_claim(path.name, image.shape, image.get_data_dtype().itemsize, path.stat().st_size, packed=packed)
        data = np.asanyarray(image.dataobj)
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error) as error:
        if isinstance(error, ReadError):
            raise
        reason = one_line(error)
        raise ReadError(f"Cannot read {path.name}: truncated or not NIfTI ({reason}).") from None
    affine, notes = _affine(image)
    array = data.reshape(data.shape[:3]).transpose(2, 1, 0)
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
        broken = int(np.count_nonzero(~np.isfinite(array)))
        if broken:
            array = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)
            notes.append(f"{broken} voxels are not numbers (NaN or infinite) and were read as 0.")
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    return Volume(array, affine, modality=modality or "", name=name, warnings=tuple(notes))


def nifti_parts(segmentation: Segmentation, path: Path, *, bids: bool = False, separate: bool = False) -> list[Part]:
    """Label maps ready to be written: uint8, 0 for background, else the segment number, on the grid of the volume.

    Both geometry codes are 1 (scanner), so that readers that prefer the sform and readers that prefer the qform agree.
    A sheared grid fits only the sform, so there the qform code is 0, and readers that want right angles (ITK) refuse
    the file instead of showing it in the wrong place.

    Args:
        segmentation: What to write.
        path: The name, or with ``separate`` the name that those of the files are made from.
        bids: Add the sidecar and the table of labels that BIDS wants.
        separate: One file for each segment, 1 inside; they may overlap.

    Raises:
        WriteError: Overlapping segments, which one label map cannot hold, or a name that BIDS does not allow.
    """
    from edgeflow_med.io.bids import label_map_sidecars, mask_paths, mask_sidecar

    if separate:
        parts = []
        for index, name in enumerate(mask_paths(segmentation, path)):
            parts.append(_part(name, partial(_one_mask, segmentation, index), segmentation.volume))
            parts += [mask_sidecar(segmentation, index, name)] if bids else []
        return parts
    if segmentation.overlaps:
        raise WriteError(
            f"Cannot write {path}: segments overlap, which a label map cannot hold; give .dcm or .seg.nrrd, "
            "or one file per segment."
        )
    sidecars = label_map_sidecars(segmentation, path) if bids else []
    return [_part(path, segmentation.labelmap, segmentation.volume), *sidecars]


def _one_mask(segmentation: Segmentation, index: int) -> NDArray[np.uint8]:
    return segmentation.masks[index].view(np.uint8)


def image_part(volume: Volume, path: Path) -> Part:
    """A volume ready to be written as an image: whole numbers as int16 where they fit, anything else as float32."""
    array: NDArray[Any] = volume.array
    low, high = array.min(), array.max()
    whole = array.dtype.kind in "iu" or np.array_equal(array, np.round(array))
    kind = np.int16 if whole and low >= -32768 and high <= 32767 else np.float32
    return _part(path, partial(array.astype, kind), volume, intent="none")


def _part(path: Path, voxels: Callable[[], NDArray[Any]], volume: Volume, *, intent: str = "label") -> Part:
    affine = affine_to_nifti(volume.affine)

    def write(temporary: Path) -> None:
        import nibabel

        array = voxels()
        image = nibabel.Nifti1Image(array.transpose(2, 1, 0), affine, dtype=array.dtype)
        image.header.set_intent(intent, name="segments" if intent == "label" else "")
        image.header.set_xyzt_units("mm")
        image.header["descrip"] = _DESCRIPTION.encode()
        image.set_sform(affine, code=1)
        image.set_qform(affine, code=0 if _is_sheared(affine) else 1)
        nibabel.save(image, temporary)

    return Part(path, write, lambda temporary: _verify(temporary, voxels(), volume, intent))


def _check_form(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        given = " x ".join(str(n) for n in shape)
        raise ReadError(f"{path.name} is {given}, not one three-dimensional image; split it and give one part.")
    if dtype.kind not in "iuf":
        raise ReadError(f"{path.name} holds {dtype} values, not real numbers; give a CT or MR image.")


def _affine(image: object) -> tuple[NDArray[np.float64], list[str]]:
    """The affine to LPS mm by the sform, else the qform, and what is odd about it."""
    import nibabel

    assert isinstance(image, (nibabel.Nifti1Image, nibabel.Nifti1Pair))
    header, notes = image.header, []
    sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    if sform is None and qform is None:
        notes.append(
            "The file does not say where the image lies (sform and qform codes are 0); only its spacing is used."
        )
    elif sform is not None and qform is not None and not _is_sheared(sform):
        i, j, k = image.shape[:3]
        corners = np.array([(a, b, c, 1) for a in (0, i - 1) for b in (0, j - 1) for c in (0, k - 1)])
        apart = float(np.abs(corners @ (sform - qform).T).max())
        if apart > _FORM_TOLERANCE_MM:
            notes.append(f"sform and qform disagree by up to {apart:.3g} mm; the sform is used.")
    affine = affine_from_nifti(np.asarray(image.affine, dtype=np.float64))
    unit = header.get_xyzt_units()[0]
    if unit in _MM:
        affine[:3] *= _MM[unit]
        notes.append(f"The file measures in {unit}s; converted to mm.")
    return affine, notes


def _is_sheared(affine: NDArray[np.float64]) -> bool:
    """Whether the axes of a grid are not at right angles, so that a quaternion cannot hold it."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > 1e-4)


def _verify(path: Path, labels: NDArray[Any], volume: Volume, intent: str) -> None:
    """Read back by SimpleITK, an independent implementation, and compare voxels, geometry and the header's fields.

    ITK refuses a sheared grid in NIfTI, so there it is nibabel that reads back what nibabel wrote.
    """
    from edgeflow_med.io.itk import read_itk_array

    keys: dict[str, str] = {}
    try:
        if _is_sheared(volume.affine):
            image = read_nifti(path)
            array, affine = image.array, image.affine
        else:
            array, affine, keys = read_itk_array(path)
    except ReadError as error:
        raise WriteError(f"The NIfTI file did not read back: {error}") from None
    if not np.array_equal(array, labels):
        raise WriteError("The NIfTI file did not read back as written: voxels differ.")
    if not volume.same_grid(affine, labels.shape):
        raise WriteError("The NIfTI file did not read back as written: its geometry differs.")
    meant = {"intent_code": _INTENTS[intent], "descrip": _DESCRIPTION, "xyzt_units": "2", "sform_code": "1"}
    for key, value in meant.items() if keys else ():
        if keys.get(key) != value:
            raise WriteError(f"The NIfTI file did not read back as written: {key} differs.")
