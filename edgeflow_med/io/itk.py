"""Images and label maps that SimpleITK reads: NRRD and MetaImage, in one file or with a header beside the voxels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import ReadError
from edgeflow_med.io.detached import data_file
from edgeflow_med.io.limits import check_claim
from edgeflow_med.io.wording import MOST
from edgeflow_med.volume import Volume

if TYPE_CHECKING:
    import SimpleITK

# By suffix; the rest is NIfTI, which this module reads only to prove what `io.nifti` wrote.
_READERS = {".mha": "MetaImageIO", ".mhd": "MetaImageIO", ".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO"}
# The spaces of NRRD that lie in the patient; ITK turns them into LPS and takes every other for it.
_SPACES = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior")


def read_itk(path: Path, *, modality: str | None = None) -> Volume:
    """Read a three-dimensional grey-value NRRD or MHA image.

    Raises:
        ReadError: Broken, not three-dimensional, or with its voxels in a file elsewhere.
    """
    array, affine, keys = read_itk_array(path)
    if array.ndim != 3:
        raise ReadError(f"{path.name} holds {array.shape[3]} values per voxel, not one; give a CT or MR image.")
    notes = []
    if path.suffix.lower() in (".nrrd", ".nhdr") and keys.get("NRRD_space") not in _SPACES:
        notes.append("The file does not say which way in the patient its axes run; they were taken for LPS.")
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
        ReadError: Broken, not three-dimensional, or with its voxels in a file elsewhere.
    """
    import SimpleITK

    voxels = data_file(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(_READERS.get(path.suffixes[-1].lower(), "NiftiImageIO"))  # not by content
    try:
        reader.ReadImageInformation()
        _check_claim(reader, voxels)
        image = reader.Execute()
    except (RuntimeError, OverflowError) as error:
        last = " ".join(str(error).strip().splitlines()[-1:])
        reason = last.rpartition("ERROR: ")[2]  # before it stand places in code
        raise ReadError(f"Cannot read {path.name}: {reason[-MOST:]}") from None
    if image.GetDimension() != 3:
        raise ReadError(f"{path.name} has {image.GetDimension()} dimensions, not three; give one scan.")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    keys = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    return SimpleITK.GetArrayFromImage(image), affine[:, [2, 1, 0, 3]], keys


def _check_claim(reader: SimpleITK.ImageFileReader, voxels: Path) -> None:
    """Refuse a size that the file cannot hold; whether it is deflated is not asked, so that much is let pass."""
    import SimpleITK

    kind = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
    voxel_bytes = int("".join(filter(str.isdigit, kind)) or 8) // 8 * max(1, reader.GetNumberOfComponents())
    check_claim(voxels.name, reader.GetSize(), voxel_bytes, voxels.stat().st_size, packed=True)
