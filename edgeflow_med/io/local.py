"""The readers in this very process; `edgeflow_med.io` calls them in a child."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeflow_med.errors import EdgeFlowError, ReadError
from edgeflow_med.io.info import SeriesInfo
from edgeflow_med.io.wording import one_line
from edgeflow_med.segmentation import Segmentation
from edgeflow_med.volume import Volume

NIFTI = (".nii", ".nii.gz")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
IDENTITY = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


def read_volume(
    paths: Sequence[Path], *, series: str | None = None, modality: str | None = None, allow_gaps: bool = False
) -> Volume:
    """See `edgeflow_med.io.read_volume`."""
    with _named_errors(paths):
        if _is_one(paths, NIFTI):
            from edgeflow_med.io.nifti import read_nifti

            return read_nifti(paths[0], modality=modality)
        if _is_one(paths, ITK):
            from edgeflow_med.io.itk import read_itk

            return read_itk(paths[0], modality=modality)
        from edgeflow_med.io.dicom import read_dicom

        return read_dicom(paths, series=series, modality=modality, allow_gaps=allow_gaps)


def list_series(paths: Sequence[Path]) -> list[SeriesInfo]:
    """See `edgeflow_med.io.list_series`."""
    with _named_errors(paths):
        if _is_one(paths, (*NIFTI, *ITK)):
            volume = read_volume(paths)
            info = SeriesInfo(name="", path=str(paths[0]), description=volume.name, shape=volume.shape)
            return [info.with_grid(volume.affine, volume.warnings)]
        from edgeflow_med.io.dicom import list_dicom

        return list_dicom(paths)


def read_segmentation(paths: Sequence[Path], volume: Volume) -> Segmentation:
    """See `edgeflow_med.io.read_segmentation`."""
    with _named_errors(paths):
        if _is_one(paths, (*NIFTI, *ITK)):
            from edgeflow_med.io.labelmap import read_labelmap

            return read_labelmap(paths[0], volume)
        from edgeflow_med.io.dicom.files import read_dataset
        from edgeflow_med.io.dicom_seg_read import read_dicom_seg
        from edgeflow_med.io.rtstruct import RT_STRUCTURE_SET_STORAGE, read_rtstruct

        header = read_dataset(paths[0], stop_before_pixels=True, specific_tags=["SOPClassUID"])
        read = read_rtstruct if header.get("SOPClassUID") == RT_STRUCTURE_SET_STORAGE else read_dicom_seg
        return read(paths[0], volume)


@contextlib.contextmanager
def _named_errors(paths: Sequence[Path]) -> Iterator[None]:
    """Turn whatever a broken file makes a library raise into a ReadError.

    Libraries read lazily and raise anything anywhere; a decoder written in Rust panics with a BaseException.
    """
    check_existing(paths)
    try:
        yield
    except (EdgeFlowError, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise ReadError(f"{paths[0].name} cannot be read, it is broken ({reason}).") from error


def check_existing(paths: Sequence[Path]) -> None:
    """Refuse paths that lead nowhere.

    Raises:
        ReadError: None given, or one that does not exist.
    """
    if not paths:
        raise ReadError("No input was given; give a file or a folder.")
    for path in paths:
        if not path.exists():
            raise ReadError(f"{path} does not exist; give a file or a folder with images.")


def _is_one(paths: Sequence[Path], suffixes: tuple[str, ...]) -> bool:
    return len(paths) == 1 and paths[0].is_file() and paths[0].name.lower().endswith(suffixes)


def identify(paths: Sequence[Path]) -> list[dict[str, str]]:
    """The UIDs of DICOM files, by keyword: study, series, instance and class.

    Raises:
        ReadError: A file that is broken, or that lacks one of them.
    """
    from edgeflow_med.io.dicom.files import read_dataset

    found = []
    with _named_errors(paths):
        for path in paths:
            header = read_dataset(path, stop_before_pixels=True, specific_tags=list(IDENTITY))
            found.append({keyword: str(header.get(keyword) or "") for keyword in IDENTITY})
            missing = [keyword for keyword, value in found[-1].items() if not value]
            if missing:
                raise ReadError(f"{path.name} has no {missing[0]}; it cannot be stored or named.")
    return found


def differences(first: Path, second: Path) -> list[str]:
    """Keywords of what stands in one DICOM file and is missing or different in another; file meta information aside.

    Raises:
        ReadError: One of them is broken.
    """
    from edgeflow_med.io.dicom.files import read_dataset

    with _named_errors([first, second]):
        ours, theirs = read_dataset(first), read_dataset(second)
        return [
            element.keyword or str(element.tag)
            for element in ours
            if element.tag not in theirs or theirs[element.tag].value != element.value
        ]
