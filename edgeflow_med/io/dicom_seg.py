"""DICOM Segmentation objects, written by highdicom.

BINARY and Explicit VR Little Endian, which every reader opens. Frames lie where their source instances lie and refer to
them, so a gantry tilt or an uneven spacing stays exact.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DA, TM

from edgeflow_med.errors import WriteError
from edgeflow_med.io.atomic import write_verified
from edgeflow_med.io.dicom_seg_read import read_dicom_seg
from edgeflow_med.segmentation import AlgorithmType, Code, Segment, Segmentation

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription

_TYPE_2 = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "Manufacturer",
)
# Dates and times that the Segmentation repeats, left empty where the source's own is not one.
_FORMS: dict[str, type[DA | TM]] = {"StudyDate": DA, "StudyTime": TM, "PatientBirthDate": DA}
_UID_REQUIRED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_CT_IMAGE_STORAGE = UID("1.2.840.10008.5.1.4.1.1.2")


def write_dicom_seg(segmentation: Segmentation, path: Path) -> None:
    """Write one DICOM Segmentation with new instance and series UIDs, and verify it.

    Raises:
        WriteError: The volume has no DICOM sources to refer to, they lack a UID, or the file did not read back.
    """
    sources = segmentation.volume.headers
    if not sources:
        raise WriteError(f"Cannot write {path}: a DICOM-SEG must refer to a DICOM series; give .nii.gz or .seg.nrrd.")
    try:
        dataset = build_dicom_seg(segmentation)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        if isinstance(error, WriteError):
            raise
        reason = " ".join(str(error).split())[:160]
        raise WriteError(
            f"Cannot write {path}: the headers of the source series do not allow a DICOM-SEG ({reason}); "
            "give .nii.gz or .seg.nrrd."
        ) from error

    def write(temporary: Path) -> None:
        dataset.save_as(temporary, enforce_file_format=True)

    write_verified(path, write, lambda temporary: _verify(temporary, segmentation, dataset))


def build_dicom_seg(segmentation: Segmentation) -> Dataset:
    """The Segmentation as a dataset; see `write_dicom_seg`."""
    from highdicom.content import PlanePositionSequence
    from highdicom.enum import CoordinateSystemNames
    from highdicom.seg import Segmentation as HighdicomSegmentation

    volume = segmentation.volume
    sources, occupied = _normalised_sources(segmentation), _occupied(segmentation)
    version = _version()
    labels = ", ".join(_word(segment.label) for segment in segmentation.segments)
    unreviewed = sum(segment.unreviewed_slices for segment in segmentation.segments)
    if segmentation.overlaps:
        pixels = np.stack([mask[occupied] for mask in segmentation.masks], axis=-1).astype(np.uint8)
    else:
        pixels = segmentation.labelmap()[occupied]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # source values that bend VR rules are copied as they are
        dataset = HighdicomSegmentation(
            source_images=sources,
            pixel_array=pixels,
            plane_positions=[
                PlanePositionSequence(CoordinateSystemNames.PATIENT, sources[k].ImagePositionPatient) for k in occupied
            ],
            segmentation_type="BINARY",
            segment_descriptions=[_description(segment, segmentation.note) for segment in segmentation.segments],
            series_instance_uid=generate_uid(),
            series_number=_series_number(sources[0]),
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="EdgeFlow-Med",
            manufacturer_model_name="EdgeFlow-Med",
            software_versions=version,
            device_serial_number=version,
            content_label="SEGMENTATION",
            content_description=f"Not for clinical use; {unreviewed} unreviewed slices",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            specific_character_set="ISO_IR 192",
            series_description=_shortened(f"EdgeFlow-Med: {labels}", 64),
        )
    for keyword in ("BodyPartExamined", "Laterality"):
        if sources[0].get(keyword):
            setattr(dataset, keyword, sources[0].get(keyword))
    _refer_to_real_instances(dataset, volume.headers)
    return dataset


def _normalised_sources(segmentation: Segmentation) -> list[Dataset]:
    """Headers as highdicom accepts them: Type 2 attributes filled, one orientation, a frame of reference, own UIDs.

    Frames of one multi-frame instance become single-frame stand-ins here; `_refer_to_real_instances` puts the true
    references back.
    """
    headers, affine = segmentation.volume.headers, segmentation.volume.affine
    missing = next((keyword for keyword in _UID_REQUIRED if not headers[0].get(keyword)), None)
    if missing:
        raise WriteError(f"The source images have no {missing}, so a DICOM-SEG cannot refer to them; give .nii.gz.")
    spacing_k, spacing_j, spacing_i = segmentation.volume.spacing
    rows, columns = affine[:3, 2] / spacing_i, affine[:3, 1] / spacing_j
    columns = columns - rows * (rows @ columns)
    orientation = [_decimal(value) for value in (*rows, *(columns / np.linalg.norm(columns)))]
    frame_of_reference = headers[0].get("FrameOfReferenceUID") or generate_uid(
        entropy_srcs=[headers[0].SeriesInstanceUID]
    )
    sources = []
    for k, header in enumerate(headers):
        changes: dict[str, object] = {
            "FrameOfReferenceUID": frame_of_reference,
            "ImageOrientationPatient": orientation,
            "PixelSpacing": [_decimal(spacing_j), _decimal(spacing_i)],
        }
        changes |= {keyword: "" for keyword in _TYPE_2 if keyword not in header}
        changes |= {keyword: "" for keyword, form in _FORMS.items() if not _is_a(form, header.get(keyword))}
        if header.get("PatientSex") not in ("M", "F", "O"):
            changes["PatientSex"] = ""
        if not header.get("SliceThickness"):
            changes["SliceThickness"] = _decimal(spacing_k)
        if "ReferencedFrameNumber" in header:
            changes |= {"SOPInstanceUID": f"2.25.{k + 1}", "SOPClassUID": _CT_IMAGE_STORAGE}
        source = header[:]  # shares its elements with the header, so they are taken out before others are put in
        for keyword, value in changes.items():
            source.pop(keyword, None)
            setattr(source, keyword, value)
        sources.append(source)
    return sources


def _refer_to_real_instances(dataset: Dataset, headers: Sequence[Dataset]) -> None:
    """Where the sources are frames of multi-frame instances, let every reference name the instance and the frame."""
    if "ReferencedFrameNumber" not in headers[0]:
        return
    real = {f"2.25.{k + 1}": header for k, header in enumerate(headers)}
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        for reference in frame.DerivationImageSequence[0].SourceImageSequence:
            header = real[reference.ReferencedSOPInstanceUID]
            reference.ReferencedSOPClassUID = header.SOPClassUID
            reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
            reference.ReferencedFrameNumber = header.ReferencedFrameNumber
    instances = []
    for header in {header.SOPInstanceUID: header for header in headers}.values():
        instance = Dataset()
        instance.ReferencedSOPClassUID = header.SOPClassUID
        instance.ReferencedSOPInstanceUID = header.SOPInstanceUID
        instances.append(instance)
    dataset.SourceImageSequence = instances
    dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence = instances


def _occupied(segmentation: Segmentation) -> NDArray[np.intp]:
    """The slices that any segment touches."""
    touched = np.zeros(segmentation.volume.shape[0], np.bool_)
    for mask in segmentation.masks:
        touched |= mask.any(axis=(1, 2))
    return np.flatnonzero(touched)


def _description(segment: Segment, note: str) -> SegmentDescription:
    from highdicom.color import CIELabColor
    from highdicom.content import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    def concept(code: Code) -> CodedConcept:
        return CodedConcept(code.value, code.scheme, code.meaning)

    algorithm = None
    if segment.algorithm_type != AlgorithmType.MANUAL:
        algorithm = AlgorithmIdentificationSequence(
            name=segment.algorithm_name or "unknown",
            family=codes.cid7162.ArtificialIntelligence,
            version=segment.algorithm_version or "unknown",
        )
    description = SegmentDescription(
        segment_number=segment.number,
        segment_label=_word(segment.label),
        segmented_property_category=concept(segment.category),
        segmented_property_type=concept(segment.type),
        algorithm_type=segment.algorithm_type.value,
        algorithm_identification=algorithm,
        tracking_uid=segment.tracking_uid or generate_uid(),
        tracking_id=_word(segment.label),
        display_color=CIELabColor.from_rgb(*segment.colour),
    )
    if note:
        description.SegmentDescription = _shortened(note, 1024)
    return description


def _series_number(source: Dataset) -> int:
    """A number near the source's own, so that viewers list the two together."""
    number = int(source.get("SeriesNumber") or 0)
    return number * 100 + 1 if 0 <= number < 10_000_000 else 1


def _version() -> str:
    try:
        return metadata.version("edgeflow-med")
    except metadata.PackageNotFoundError:
        return "unknown"


def _is_a(form: type[DA | TM], value: object) -> bool:
    try:
        form(value)
    except (ValueError, TypeError):
        return False
    return True


def _word(text: str) -> str:
    """A label as DICOM's long strings can hold it: one line, no backslash (it separates values), 64 characters."""
    return _shortened(" ".join(text.replace("\\", "/").split()), 64)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters, as DICOM allows."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value))


def _verify(path: Path, segmentation: Segmentation, dataset: Dataset) -> None:
    """Read back by our own reader, which places each frame by its own position, and compare voxels and identity."""
    read = read_dicom_seg(path, segmentation.volume)
    if len(read.masks) != len(segmentation.masks):
        raise WriteError(
            f"The DICOM-SEG read back with {len(read.masks)} segments instead of {len(segmentation.masks)}."
        )
    for segment, written, found in zip(segmentation.segments, segmentation.masks, read.masks, strict=True):
        if not np.array_equal(written, found):
            raise WriteError(f"The DICOM-SEG did not read back as written: voxels of {segment.label!r} differ.")
    for segment, found_segment in zip(segmentation.segments, read.segments, strict=True):
        if (_word(segment.label), segment.algorithm_type) != (found_segment.label, found_segment.algorithm_type):
            raise WriteError(f"The DICOM-SEG did not read back as written: segment {segment.number} differs.")
    source = segmentation.volume.headers[0]
    if dataset.StudyInstanceUID != source.StudyInstanceUID or dataset.get("PatientID") != (
        source.get("PatientID") or ""
    ):
        raise WriteError("The DICOM-SEG does not name the patient and study of its source.")
