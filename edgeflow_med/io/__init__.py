"""Reading scans and writing segmentations: DICOM, NIfTI, NRRD and MHA.

Cheap to import: the libraries behind each format are loaded when a file of that format is met.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgeflow_med.errors import UsageError, WriteError
from edgeflow_med.io.atomic import check_folder, json_part, write_together
from edgeflow_med.io.info import SeriesInfo
from edgeflow_med.io.local import NIFTI, check_existing
from edgeflow_med.io.options import MeasuredSegment, Saved, SaveOptions, SegEncoding
from edgeflow_med.segmentation import Segmentation
from edgeflow_med.volume import Source, Volume

__all__ = [
    "MeasuredSegment",
    "SaveOptions",
    "Saved",
    "SegEncoding",
    "SeriesInfo",
    "check_writable",
    "list_series",
    "read_segmentation",
    "read_volume",
    "save",
    "save_measurements",
]

PathLike = Path | str
DICOM = (".dcm",)
WRITABLE = (".dcm", ".nii.gz", ".nii", ".seg.nrrd", ".nrrd")


def read_volume(
    path: PathLike | Sequence[PathLike],
    *,
    series: str | None = None,
    modality: str | None = None,
    allow_gaps: bool = False,
    straighten: bool = False,
) -> Volume:
    """Read one scan; files are decoded in a child process, which no broken file outlives.

    Args:
        path: A folder, zip archive or DICOMDIR with DICOM files, one or several DICOM files, or a NIfTI, NRRD or MHA
            file, ``.nhdr`` and ``.mhd`` with their voxels beside them included.
        series: Which series, where there are several: its Series Instance UID, a name that `list_series` gives, or what
            it says to tell a stack from the others of its series, like ``"echo 2"`` or ``"b-value 1000"``.
        modality: ``"CT"`` or ``"MR"``, for files that do not say.
        allow_gaps: Fill missing slices with air and say so in ``warnings``, instead of refusing the series; the
            geometry stays true. Their headers have no SOPInstanceUID.
        straighten: Resample a sheared grid (gantry tilt) to right angles, which drops the headers; see
            `edgeflow_med.io.straighten.straightened`. By default the shear is kept in the affine.

    Raises:
        ReadError: Nothing to read, several series to choose from, or a broken file, by name.
        GeometryError: Slices that do not make one grid; the message names the place.
        UsageError: ``modality`` contradicts the file.
    """
    from edgeflow_med.io import child

    paths = _paths(path)
    volume = child.read_volume(paths, series=series, modality=modality, allow_gaps=allow_gaps)
    if straighten:
        from edgeflow_med.io.straighten import straightened

        volume = straightened(volume)
    where = paths[0] if len(paths) == 1 else Path(os.path.commonpath([part.resolve().parent for part in paths]))
    return replace(volume, source=Source(where, modality, allow_gaps, straighten))


def list_series(path: PathLike | Sequence[PathLike]) -> list[SeriesInfo]:
    """Describe all that `read_volume` could read at a path, with the error where it could not.

    Raises:
        ReadError: Nothing there, or nothing that is an image.
    """
    from edgeflow_med.io import child

    return child.list_series(_paths(path))


def read_segmentation(path: PathLike, volume: Volume) -> Segmentation:
    """Read segments that lie on the grid of ``volume``: DICOM-SEG, RTSTRUCT, NIfTI, ``.seg.nrrd``, other label maps.

    Raises:
        ReadError: Not a segmentation, or broken.
        GeometryError: It lies on another grid.
    """
    from edgeflow_med.io import child

    return child.read_segmentation(_paths(path), volume)


def save(
    segmentation: Segmentation,
    path: PathLike,
    *,
    encoding: SegEncoding | str = SegEncoding.BINARY,
    bids: bool = False,
    separate: bool = False,
    creator: str = "",
    deidentify: bool = False,
    sidecar: Mapping[str, object] | None = None,
) -> Saved:
    """Write a segmentation in the format that the name's suffix says, read it back, and only then replace the file.

    ``.dcm``: DICOM-SEG. ``.nii``, ``.nii.gz``: NIfTI label map. ``.seg.nrrd``: 3D Slicer segmentation. ``.nrrd``:
    label map. An option for another format than the file's is passed over.

    Args:
        segmentation: What to write.
        path: Where to.
        encoding: DICOM-SEG: ``"binary"``, ``"deflated"`` or ``"labelmap"``; see `SegEncoding`.
        bids: NIfTI: with the JSON sidecar and the table of labels that BIDS wants.
        separate: NIfTI: one file for each segment, named after ``path`` and the segment's label.
        creator: DICOM-SEG: who made it, as ``Family^Given``.
        deidentify: Leave out what tells who the patient and the creator are, by the basic profile of DICOM PS3.15, and
            say so; see `edgeflow_med.io.deidentify`.
        sidecar: JSON values that tell how the masks came to be, written with them as ``NAME.provenance.json``; with
            ``bids`` into the ``Provenance`` of the JSON sidecar.

    Returns:
        The files, and what had to be changed to write them: tell the reader.

    Raises:
        UsageError: An unknown encoding.
        WriteError: An unknown suffix, an empty mask, a format that cannot hold it, or a file that did not read back.
            Nothing half-written is left, and an old file stays as it was.
    """
    path = Path(path)
    check_writable(path)
    try:
        encoding = SegEncoding(encoding)
    except ValueError:
        raise UsageError(f"Unknown encoding {encoding!r}; give {', '.join(SegEncoding)}.") from None
    filled = segmentation.occupied().any(axis=1)
    if not filled.all():
        label = segmentation.segments[int(filled.argmin())].label
        raise WriteError(f"Nothing to write to {path}: the mask of {label!r} came out empty; give other clicks.")
    if deidentify:
        from edgeflow_med.io.deidentify import deidentified

        segmentation, creator = deidentified(segmentation), ""
    if sidecar is not None and bids and _ends(path, NIFTI):
        segmentation, sidecar = replace(segmentation, provenance=dict(sidecar)), None
    warnings: tuple[str, ...] = ()
    if _ends(path, DICOM):
        from edgeflow_med.io.dicom_seg import dicom_seg_part

        part, warnings = dicom_seg_part(segmentation, path, encoding=encoding, creator=creator, deidentify=deidentify)
        parts = [part]
    elif _ends(path, NIFTI):
        from edgeflow_med.io.nifti import nifti_parts

        parts = nifti_parts(segmentation, path, bids=bids, separate=separate)
    else:
        from edgeflow_med.io.nrrd import nrrd_part

        parts = [nrrd_part(segmentation, path)]
    if sidecar is not None:
        parts.append(json_part(path.with_name(f"{path.name}.provenance.json"), sidecar))
    write_together(parts)
    return Saved(tuple(part.path for part in parts), warnings)


def save_measurements(
    path: PathLike, seg: PathLike, measured: Sequence[MeasuredSegment], *, creator: str = "", deidentify: bool = False
) -> Saved:
    """Write a measurement report (DICOM SR, template TID 1500) about a DICOM-SEG that was saved before.

    Args:
        path: Where to, ``.dcm``.
        seg: The DICOM-SEG.
        measured: What was measured, for each of its segments that is to be reported.
        creator: Who measured, as ``Family^Given``.
        deidentify: As for `save`; ``seg`` must have been saved so too.

    Raises:
        ReadError: ``seg`` is not a DICOM-SEG.
        WriteError: The report could not be written, or did not read back.
    """
    path = Path(path)
    check_writable(path)
    if not _ends(path, DICOM):
        raise WriteError(f"Cannot write {path}: a measurement report is DICOM; give a name that ends in .dcm.")
    from edgeflow_med.io.dicom_sr import measurement_report_part

    creator = "" if deidentify else creator
    write_together([measurement_report_part(path, Path(seg), measured, creator=creator, deidentify=deidentify)])
    return Saved((path,))


def check_writable(path: PathLike) -> None:
    """Check before long work that `save` knows the suffix and may write there.

    Raises:
        WriteError: It could not be written.
    """
    path = Path(path)
    if not _ends(path, WRITABLE):
        raise WriteError(f"Cannot write {path}: unknown suffix; give one of {', '.join(WRITABLE)}.")
    check_folder(path)


def _paths(path: PathLike | Sequence[PathLike]) -> list[Path]:
    paths = [Path(path)] if isinstance(path, (str, Path)) else [Path(part) for part in path]
    check_existing(paths)
    return paths


def _ends(path: Path, suffixes: Sequence[str]) -> bool:
    return path.name.lower().endswith(tuple(suffixes))
