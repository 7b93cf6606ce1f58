"""Reading scans and writing segmentations: DICOM, NIfTI, NRRD and MHA.

Cheap to import: the libraries behind each format are loaded when a file of that format is met.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeflow_med.errors import ReadError, WriteError
from edgeflow_med.io.info import SeriesInfo
from edgeflow_med.segmentation import Segmentation
from edgeflow_med.volume import Volume

__all__ = ["SeriesInfo", "check_writable", "list_series", "read_segmentation", "read_volume", "save"]

PathLike = Path | str
_NIFTI = (".nii", ".nii.gz")
_ITK = (".nrrd", ".mha")
WRITABLE = (".dcm", ".nii.gz", ".nii", ".seg.nrrd", ".nrrd")


def read_volume(
    path: PathLike | Sequence[PathLike], *, series: str | None = None, modality: str | None = None
) -> Volume:
    """Read one scan.

    Args:
        path: A folder with DICOM files, one or several DICOM files, or a NIfTI, NRRD or MHA file.
        series: Which series, where there are several: its Series Instance UID, or a name that `list_series` gives.
        modality: ``"CT"`` or ``"MR"``, for files that do not say.

    Raises:
        ReadError: Nothing to read, several series to choose from, or a broken file, by name.
        GeometryError: Slices that do not make one grid; the message names the place.
        UsageError: ``modality`` contradicts the file.
    """
    paths = _existing(path)
    if len(paths) == 1 and paths[0].is_file():
        if _ends(paths[0], _NIFTI):
            from edgeflow_med.io.nifti import read_nifti

            return read_nifti(paths[0], modality=modality)
        if _ends(paths[0], _ITK):
            from edgeflow_med.io.nrrd import read_itk

            return read_itk(paths[0], modality=modality)
    from edgeflow_med.io.dicom import read_dicom

    return read_dicom(paths, series=series, modality=modality)


def list_series(path: PathLike | Sequence[PathLike]) -> list[SeriesInfo]:
    """Describe all that `read_volume` could read at a path, with the error where it could not.

    Raises:
        ReadError: Nothing there, or nothing that is an image.
    """
    paths = _existing(path)
    if len(paths) == 1 and paths[0].is_file() and _ends(paths[0], (*_NIFTI, *_ITK)):
        volume = read_volume(paths[0])
        info = SeriesInfo(name="", path=str(paths[0]), description=volume.name, shape=volume.shape)
        return [info.with_grid(volume.affine, volume.warnings)]
    from edgeflow_med.io.dicom import list_dicom

    return list_dicom(paths)


def read_segmentation(path: PathLike, volume: Volume) -> Segmentation:
    """Read segments that lie on the grid of ``volume``: DICOM-SEG, NIfTI, ``.seg.nrrd`` or another label map.

    Raises:
        ReadError: Not a segmentation, or broken.
        GeometryError: It lies on another grid.
    """
    (file,) = _existing(path)
    if _ends(file, (*_NIFTI, *_ITK)):
        from edgeflow_med.io.labelmap import read_labelmap

        return read_labelmap(file, volume)
    from edgeflow_med.io.dicom_seg_read import read_dicom_seg

    return read_dicom_seg(file, volume)


def save(segmentation: Segmentation, path: PathLike) -> None:
    """Write a segmentation in the format that the name's suffix says, read it back, and only then replace the file.

    ``.dcm``: DICOM-SEG. ``.nii``, ``.nii.gz``: NIfTI label map. ``.seg.nrrd``: 3D Slicer segmentation. ``.nrrd``:
    label map.

    Raises:
        WriteError: An unknown suffix, an empty mask, a format that cannot hold it, or a file that did not read back.
            Nothing half-written is left, and an old file stays as it was.
    """
    path = Path(path)
    check_writable(path)
    empty = [
        segment.label for segment, mask in zip(segmentation.segments, segmentation.masks, strict=True) if not mask.any()
    ]
    if empty:
        raise WriteError(f"Nothing to write to {path}: the mask of {empty[0]!r} came out empty; give other clicks.")
    if _ends(path, (".dcm",)):
        from edgeflow_med.io.dicom_seg import write_dicom_seg

        write_dicom_seg(segmentation, path)
    elif _ends(path, _NIFTI):
        from edgeflow_med.io.nifti import write_nifti

        write_nifti(segmentation, path)
    else:
        from edgeflow_med.io.nrrd import write_nrrd

        write_nrrd(segmentation, path)


def check_writable(path: PathLike) -> None:
    """Check before long work that `save` knows the suffix and may write there.

    Raises:
        WriteError: It could not be written.
    """
    from edgeflow_med.io.atomic import check_folder

    path = Path(path)
    if not _ends(path, WRITABLE):
        raise WriteError(f"Cannot write {path}: unknown suffix; give one of {', '.join(WRITABLE)}.")
    check_folder(path)


def _existing(path: PathLike | Sequence[PathLike]) -> list[Path]:
    paths = [Path(path)] if isinstance(path, (str, Path)) else [Path(part) for part in path]
    if not paths:
        raise ReadError("No input was given; give a file or a folder.")
    for part in paths:
        if not part.exists():
            raise ReadError(f"{part} does not exist; give a file or a folder with images.")
    return paths


def _ends(path: Path, suffixes: Sequence[str]) -> bool:
    return path.name.lower().endswith(tuple(suffixes))
