"""Masks that a command is given, what a run writes besides segmentations, and what is checked about files before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_med.cli.output import warn
from edgeflow_med.errors import UsageError, WriteError
from edgeflow_med.io import SegEncoding, check_writable, read_segmentation
from edgeflow_med.io.atomic import check_folder, json_part, write_together, write_verified
from edgeflow_med.io.bids import stem_of

if TYPE_CHECKING:
    from rich.console import Console

    from edgeflow_med.cli.job import Job
    from edgeflow_med.segmentation import Segmentation
    from edgeflow_med.session import Session
    from edgeflow_med.volume import Volume


def read_masks(path: Path, volume: Volume, console: Console) -> Segmentation:
    """The segments of a file; what its reader noticed is told.

    Raises:
        EdgeFlowError: See `edgeflow_med.io.read_segmentation`.
    """
    found = read_segmentation(path, volume)
    for line in found.warnings:
        warn(console, line)
    return found


def check_outputs(job: Job) -> None:
    """Check before long work that all files could be written and that none would replace another.

    Raises:
        UsageError: Two outputs are the same file, or an option that none of them has a use for.
        WriteError: A file could not be written.
    """
    for path in job.outputs:
        check_writable(path)
    _check_options(job)
    extras = (
        ("--report", job.report, ".json"),
        ("--picture", job.picture, ".png"),
        ("--measurements", job.measurements, ".dcm"),
    )
    for option, extra, suffix in extras:
        if extra is not None:
            if extra.suffix.lower() != suffix:
                raise WriteError(f"Cannot write {extra}: {option} writes {suffix}; give a name that ends so.")
            check_folder(extra)
    paths = [path.resolve() for path in _all_outputs(job)]
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"{path} was given as output twice; give each output its own name.")


def _all_outputs(job: Job) -> list[Path]:
    named = (*job.outputs, job.report, job.picture, job.measurements)
    return [path for path in named if path is not None]


def _check_options(job: Job) -> None:
    """Refuse options that no output has a use for."""
    options = job.options
    names = [path.name.lower() for path in job.outputs]
    asked_of_dicom = {
        "--seg-encoding": options.get("encoding", SegEncoding.BINARY) != SegEncoding.BINARY,
        "--creator": bool(options.get("creator")),
        "--measurements": job.measurements is not None,
    }
    for path in job.outputs:
        if options.get("bids") and not options.get("separate") and path.name.lower().endswith((".nii", ".nii.gz")):
            stem_of(path)
    asked_of_nifti = {"--bids": options.get("bids"), "--separate": options.get("separate")}
    for asked, suffixes in ((asked_of_dicom, (".dcm",)), (asked_of_nifti, (".nii", ".nii.gz"))):
        for option, given in asked.items():
            if given and not any(name.endswith(suffixes) for name in names):
                wanted = " or ".join(suffixes)
                raise UsageError(f"{option} is for {wanted} files, which no --output is; add one, or leave it out.")


def check_sources(volume: Volume, job: Job) -> None:
    """Check that the outputs fit the scan, and that none of them would replace it.

    Raises:
        WriteError: They do not.
    """
    keep_sources(_all_outputs(job), volume, (job.input, *job.keep))
    if not volume.headers:
        for path in job.outputs:
            if path.suffix.lower() == ".dcm":
                raise WriteError(
                    f"Cannot write {path}: a DICOM-SEG must refer to a DICOM series; give .nii.gz or .seg.nrrd."
                )


def keep_sources(outputs: Sequence[Path], volume: Volume, read: Sequence[Path]) -> None:
    """Check that no output would replace a file of the scan, or one of those that were ``read``.

    Raises:
        WriteError: One would.
    """
    for path in outputs:
        if _is_source(path, volume, read):
            raise WriteError(f"Cannot write {path}: it would replace what was read; give another name.")


def _is_source(path: Path, volume: Volume, read: Sequence[Path]) -> bool:
    if not path.exists():
        return False
    if any(path.samefile(kept) for kept in read):
        return True
    if not volume.headers or path.suffix.lower() != ".dcm":
        return False
    import pydicom

    try:
        header = pydicom.dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
    except pydicom.errors.InvalidDicomError:
        return False
    return header.get("SOPInstanceUID") in {source.get("SOPInstanceUID") for source in volume.headers}


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON file that is whole or not there.

    Raises:
        WriteError: It could not be written.
    """
    write_together([json_part(path, document)])


def write_picture(path: Path, session: Session, found: dict[str, Any]) -> None:
    """Draw what was found and write it as PNG.

    Raises:
        WriteError: It could not be written.
    """
    from PIL import Image

    from edgeflow_med.cli.panels import caption, picture_rows
    from edgeflow_med.picture import draw_picture

    picture = draw_picture(picture_rows(session, found), caption(session, found), found["notice"])

    def verify(temporary: Path) -> None:
        with Image.open(temporary) as written:
            if written.convert("RGB").tobytes() != picture.tobytes():
                raise WriteError(f"Cannot write {path}: it did not read back as drawn.")

    write_verified(path, lambda temporary: picture.save(temporary, format="PNG", optimize=True), verify)
