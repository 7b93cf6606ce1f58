"""A data set for training from the cases of readers: only slices that a reader stands behind, so every label is true.

A scan is cut along its slices: each run of slices that were annotated or accepted becomes an image of its own, and
slices that nobody has looked at, or that are only proposed, are left out. Without the cut a lesion that was not
outlined yet would be taught as background.

Patients appear as the first 12 digits of the SHA-256 of their Patient ID (of the voxels, where there is none); all
images of a patient begin with it, and it alone decides between training and validation.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import EdgeFlowError, ReadError, UsageError, WriteError
from edgeflow_med.io.atomic import check_folder, text_part, write_together
from edgeflow_med.io.nifti import image_part, nifti_parts, read_nifti
from edgeflow_med.segmentation import LabelMasks, Segment, Segmentation
from edgeflow_med.session import Session, SliceStatus, read_journal
from edgeflow_med.session.identity import voxel_digest
from edgeflow_med.session.provenance import provenance
from edgeflow_med.session.records import labels as segment_labels
from edgeflow_med.session.records import standing_steps
from edgeflow_med.training.layouts import (
    CHECKSUMS,
    IMAGES,
    LABELS,
    LAYOUTS,
    Dataset,
    Entry,
    Layout,
    as_text,
    common_documents,
)
from edgeflow_med.volume import Volume

MAX_LABEL = 255


@dataclass(frozen=True)
class Exported:
    """What an export did.

    Attributes:
        folder: The data set.
        images: How many images it has.
        validation: How many of them are for validation.
        patients: How many patients.
        slices: How many slices in all.
        left_out: Cases without any accepted slice.
    """

    folder: Path
    images: int
    validation: int
    patients: int
    slices: int
    left_out: tuple[Path, ...]


def export_dataset(  # noqa: PLR0913 - what, where to, and what is said about it
    cases: Sequence[Path],
    output: Path,
    *,
    layout: str,
    licence: str,
    reference: str,
    description: str = "",
    labels: Path | None = None,
    contrast: str = "",
    replace: bool = False,
) -> Exported:
    """Write the accepted slices of cases as a data set and check all that was written.

    Args:
        cases: Folders of cases, each of another scan.
        output: Folder of the data set; its name is the data set's.
        layout: ``"decathlon"``, ``"nnunet"`` or ``"bids"``.
        licence: Under which images and outlines may be used; goes into the card of a model that is trained on them.
        reference: Where they come from.
        description: What they show and who drew the outlines.
        labels: The label map ``{"background": 0, "Lesion": 1}``: made from the segments' labels where there is no such
            file, else used as it is. Several names may share a value. By default ``labels.json`` in ``output``.
        contrast: For BIDS and MR, what the file names say, e.g. ``"T1w"``.
        replace: Replace the data set that is there; its label map is kept.

    Raises:
        UsageError: An unknown layout, no licence or reference, two cases of one scan, several modalities, or a label
            that the label map does not have.
        ReadError: A case cannot be read, or no slice of any is accepted.
        WriteError: The folder cannot be written or holds something else, or what was written did not read back.
    """
    _check_request(layout, licence, reference, output, replace=replace)
    label_file = labels or output / LABELS
    known = label_map(cases, label_file)
    dataset = Dataset(output.name, known, licence, reference, description, contrast)
    work = output.with_name(f".{output.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    try:
        left_out = _write_cases(cases, dataset, work, LAYOUTS[layout])
        if not dataset.entries:
            raise ReadError("No slice of these cases is accepted; accept some with `edgeflow-med case CASE accept`.")
        documents = {**common_documents(dataset), **LAYOUTS[layout].documents(dataset)}
        write_together([text_part(work / name, as_text(document)) for name, document in documents.items()])
        write_together([text_part(work / CHECKSUMS, _checksums(work))])
        check_dataset(work)
        if not label_file.is_file() and labels is not None:
            write_together([text_part(labels, as_text(known))])
        _put_in_place(work, output)
    except OSError as error:
        if isinstance(error, EdgeFlowError):
            raise
        raise WriteError(f"Cannot write {output}: {error.strerror or error}; nothing was changed there.") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    entries = dataset.entries
    return Exported(
        output,
        len(entries),
        len(dataset.held_out),
        len({entry.patient for entry in entries}),
        sum(entry.slices for entry in entries),
        tuple(left_out),
    )


def label_map(cases: Sequence[Path], path: Path) -> dict[str, int]:
    """The frozen label map of a file, or where there is none, one with the labels of the cases in their order.

    Raises:
        ReadError: The file is no label map, or a case cannot be read.
        UsageError: A case has a segment that the file does not know, or there are too many.
    """
    frozen = path.is_file()
    found = _read_label_map(path) if frozen else {"background": 0}
    for folder in cases:
        for label in segment_labels(standing_steps(read_journal(folder))).values():
            if label is None or label in found:
                continue
            if frozen:
                raise UsageError(
                    f"The label map {path} has no {label!r}, which is a segment of {folder}; add it to the file, or "
                    "rename the segment."
                )
            found[label] = max(found.values()) + 1
    if max(found.values()) > MAX_LABEL:
        raise UsageError(f"A label map holds at most {MAX_LABEL} labels; rename segments that mean the same.")
    return found


def accepted_runs(session: Session) -> Iterator[tuple[int, int, int]]:
    """Runs of slices that the reader stands behind, as axis, first and last slice.

    A slice counts if some segment was annotated or accepted on it, and so was every segment that has voxels there.
    """
    for axis, count in enumerate(session.volume.shape):
        known, unsure = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        for state in session.segments:
            trusted = np.zeros(count, np.bool_)
            for index, value in state.on_axis(axis):
                trusted[index] = value.status is not SliceStatus.PROPOSED
            known |= trusted
            unsure |= np.moveaxis(state.mask, axis, 0).any(axis=(1, 2)) & ~trusted
        good = np.flatnonzero(known & ~unsure)
        for run in np.split(good, np.flatnonzero(np.diff(good) > 1) + 1):
            if run.size:
                yield axis, int(run[0]), int(run[-1])


def check_dataset(folder: Path) -> None:
    """Check a data set that was exported, in any layout: every file is as it was written, and images fit their labels.

    Raises:
        ReadError: Files are missing, new or altered, or an image and its label map do not lie on one grid.
    """
    if (folder / CHECKSUMS).read_text("utf-8") != _checksums(folder):
        raise ReadError(f"Files of {folder} are missing, new or altered; see `sha256sum --check {CHECKSUMS}` there.")
    values = set(json.loads((folder / LABELS).read_text("utf-8")).values())
    for entry in json.loads((folder / IMAGES).read_text("utf-8"))["images"]:
        image, labels = read_nifti(folder / entry["image"]), read_nifti(folder / entry["labels"])
        if not image.same_grid(labels.affine, labels.shape):
            raise ReadError(f"{entry['labels']} in {folder} does not lie on the grid of its image.")
        if not set(np.unique(labels.array).tolist()) <= values:
            raise ReadError(f"{entry['labels']} in {folder} has values that {LABELS} does not name.")


def patient_of(volume: Volume, digest: str) -> str:
    """12 hexadecimal digits that stand for a patient; those of the voxels where the scan names none."""
    known = str(volume.headers[0].get("PatientID", "")).strip() if volume.headers else ""
    return hashlib.sha256(known.encode()).hexdigest()[:12] if known else digest[:12]


def _check_request(layout: str, licence: str, reference: str, output: Path, *, replace: bool) -> None:
    if layout not in LAYOUTS:
        raise UsageError(f"Unknown layout {layout!r}; give {', '.join(LAYOUTS)}.")
    if not licence.strip() or not reference.strip():
        raise UsageError("A data set needs a licence and a reference, which its models will name; give both.")
    check_folder(output / CHECKSUMS)
    held = {path.name for path in output.iterdir()} - {LABELS} if output.is_dir() else set()
    if held and CHECKSUMS not in held:
        raise WriteError(f"{output} holds something else than an exported data set; give another folder.")
    if held and not replace:
        raise WriteError(f"{output} holds a data set already; ask to replace it, or give another folder.")


def _read_label_map(path: Path) -> dict[str, int]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ReadError(f"Cannot read the label map {path}: {error}; give a JSON file.") from None
    values = list(found.values()) if isinstance(found, dict) else []
    whole = all(type(value) is int for value in values)
    if not whole or found.get("background") != 0 or set(values) != set(range(max(values) + 1)):
        raise ReadError(
            f'{path} is no label map; it looks like {{"background": 0, "Lesion": 1}}, with values from 0 up and no gap.'
        )
    return dict(found)


def _write_cases(cases: Sequence[Path], dataset: Dataset, work: Path, layout: Layout) -> list[Path]:
    """Write the images of all cases; returns the cases that have none."""
    seen: dict[str, Path] = {}
    left_out = []
    for folder in cases:
        with Session.resume(folder, read_only=True) as session:
            digest = voxel_digest(session.volume)
            if digest in seen:
                raise UsageError(f"{seen[digest]} and {folder} are cases of one scan; give only one of them.")
            seen[digest] = folder
            runs = list(accepted_runs(session))
            if not runs:
                left_out.append(folder)
                continue
            if dataset.entries and dataset.modality != session.volume.modality:
                raise UsageError(
                    f"Case {folder} is of modality {session.volume.modality or 'unknown'}, others of "
                    f"{dataset.modality or 'unknown'}; export one modality at a time."
                )
            dataset.modality = session.volume.modality
            _write_case(session, runs, digest, dataset, work, layout)
    return left_out


def _write_case(
    session: Session,
    runs: Sequence[tuple[int, int, int]],
    digest: str,
    dataset: Dataset,
    work: Path,
    layout: Layout,
) -> None:
    volume = session.volume
    patient = patient_of(volume, digest)
    told = provenance(session, accepted_only=True, deidentify=True)
    segments = tuple(_segments(session, dataset))
    for axis, first, last in runs:
        name = f"{patient}__{digest[:8]}{'kji'[axis]}{first:04d}"
        where = (slice(None),) * axis + (slice(first, last + 1),)
        image = _cropped(volume, axis, where)
        labels = _label_array(session, dataset.labels, where)
        paths = layout.place(dataset, name, patient)
        bids = paths[1].name.endswith("_dseg.nii.gz")
        masks = Segmentation(image, segments, LabelMasks(labels, len(segments)), provenance=told if bids else {})
        write_together([image_part(image, work / paths[0]), *nifti_parts(masks, work / paths[1], bids=bids)])
        dataset.entries.append(Entry(name, patient, axis, first, last + 1 - first, *paths, told))


def _segments(session: Session, dataset: Dataset) -> Iterator[Segment]:
    """One segment for each value of the label map but 0, described as the case describes it where it has one."""
    for value, name in dataset.names.items():
        own = next((state for state in session.segments if dataset.labels[state.label] == value), None)
        if value and own is not None:
            yield Segment(value, name, own.category, own.type, own.algorithm_type, *own.info.model, colour=own.colour)
        elif value:
            yield Segment(value, name)


def _label_array(session: Session, labels: Mapping[str, int], where: tuple[slice, ...]) -> NDArray[np.uint8]:
    found = np.zeros(session.volume.array[where].shape, np.uint8)
    for state in session.segments:
        mask, value = state.mask[where], labels[state.label]
        if value == 0:  # what the label map calls background
            continue
        if not np.isin(found[mask], (0, value)).all():
            raise UsageError(
                f"{state.label!r} overlaps another segment in {session.case_dir}, which a label map cannot hold; leave "
                "that case out, or give both the same value in the label map."
            )
        found[mask] = value
    return found


def _cropped(volume: Volume, axis: int, where: tuple[slice, ...]) -> Volume:
    """A run of slices as a volume of its own, without headers, at the same place in space."""
    affine, start = volume.affine.copy(), np.zeros(3)
    start[axis] = where[axis].start
    affine[:3, 3] = volume.position(start)
    return Volume(np.ascontiguousarray(volume.array[where]), affine, volume.modality)


def _checksums(folder: Path) -> str:
    """One line for each file, as ``sha256sum`` writes them."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != CHECKSUMS:
            with path.open("rb") as file:
                lines.append(
                    f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder).as_posix()}\n"
                )
    return "".join(lines)


def _put_in_place(work: Path, output: Path) -> None:
    """Give the finished folder its name; an old one goes only once the new one is there."""
    old = output.with_name(f".{output.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.rename(old)
    work.rename(output)
    shutil.rmtree(old, ignore_errors=True)
