"""Measurement reports: DICOM structured reports by template TID 1500, written by highdicom and read back by pydicom.

A report refers to the segments of a DICOM-SEG that was saved before, and takes patient and study from it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from edgeflow_med import __version__
from edgeflow_med.errors import ReadError, WriteError
from edgeflow_med.io.atomic import Part
from edgeflow_med.io.deidentify import finish_deidentified
from edgeflow_med.io.dicom.files import read_dataset
from edgeflow_med.io.dicom_seg import PRODUCT, concept
from edgeflow_med.io.dicom_seg_read import LABELMAP_STORAGE, SEGMENTATION_STORAGE, described_segment
from edgeflow_med.io.dicom_text import word
from edgeflow_med.io.options import MeasuredSegment
from edgeflow_med.segmentation import AlgorithmType, Code, Segment

if TYPE_CHECKING:
    from highdicom.sr import MeasurementReport, VolumetricROIMeasurementsAndQualitativeEvaluations

_IMAGING = Code("363679005", "SCT", "Imaging")
# What is measured: the concept, its UCUM unit, and how many decimals are worth writing.
_QUANTITIES = {
    "volume_ml": (Code("118565006", "SCT", "Volume"), Code("cm3", "UCUM", "cubic centimeter"), 4),
    "longest_mm": (Code("103339001", "SCT", "Long Axis"), Code("mm", "UCUM", "millimeter"), 2),
    "perpendicular_mm": (Code("103340004", "SCT", "Short Axis"), Code("mm", "UCUM", "millimeter"), 2),
}
_IDENTITY = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID")


def measurement_report_part(
    path: Path, seg: Path, measured: Sequence[MeasuredSegment], *, creator: str = "", deidentify: bool = False
) -> Part:
    """A report about a DICOM-SEG, ready to be written and verified; see `edgeflow_med.io.save_measurements`.

    Raises:
        ReadError: ``seg`` is not a DICOM-SEG, or has no segment that was measured.
    """
    dataset = read_dataset(seg, stop_before_pixels=True)
    if str(dataset.get("SOPClassUID", "")) not in (SEGMENTATION_STORAGE, LABELMAP_STORAGE):
        raise ReadError(f"{seg.name} is not a DICOM Segmentation; give the one that was measured.")
    described = {int(item.SegmentNumber): described_segment(item, 1) for item in dataset.SegmentSequence}
    for entry in measured:
        if entry.number not in described:
            raise ReadError(f"{seg.name} has no segment {entry.number}; give measurements of its own segments.")
    meant = _Meant(_identity(dataset), str(dataset.SOPInstanceUID), described, measured)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that bend VR rules are copied as they are
        report = _report(dataset, described, measured, creator)
    if deidentify:
        finish_deidentified(report)
    return Part(
        path,
        lambda temporary: report.save_as(temporary, enforce_file_format=True),
        lambda temporary: _verify(temporary, meant),
    )


def _report(seg: Dataset, described: dict[int, Segment], measured: Sequence[MeasuredSegment], creator: str) -> Dataset:
    from highdicom.sr import Comprehensive3DSR

    report = Comprehensive3DSR(
        evidence=[seg],
        content=_content(seg, described, measured, creator),
        series_instance_uid=generate_uid(),
        series_number=int(seg.SeriesNumber) + 1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=__version__,
        device_serial_number=__version__,
        series_description=f"{PRODUCT}: measurements",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set="ISO_IR 192",
    )
    report.CompletionFlagDescription = seg.get("ContentDescription", "")
    return report


def _content(
    seg: Dataset, described: dict[int, Segment], measured: Sequence[MeasuredSegment], creator: str
) -> MeasurementReport:
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
        PersonObserverIdentifyingAttributes,
    )
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[PRODUCT, __version__]), name=PRODUCT, model_name=PRODUCT
    )
    person = PersonObserverIdentifyingAttributes(name=word(creator)) if creator else None
    context = ObservationContext(
        observer_device_context=ObserverContext(codes.DCM.Device, device),
        observer_person_context=ObserverContext(codes.DCM.Person, person) if person else None,
    )
    return MeasurementReport(
        observation_context=context,
        procedure_reported=concept(_IMAGING),
        imaging_measurements=[_group(seg, described[entry.number], entry) for entry in measured],
        title=codes.DCM.ImagingMeasurementReport,
    )


def _group(
    seg: Dataset, segment: Segment, entry: MeasuredSegment
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    from highdicom.sr import (
        AlgorithmIdentification,
        FindingSite,
        Measurement,
        ReferencedSegment,
        SourceSeriesForSegmentation,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    algorithm = None
    if segment.algorithm_type != AlgorithmType.MANUAL:
        algorithm = AlgorithmIdentification(name=segment.algorithm_name, version=segment.algorithm_version)
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(segment.tracking_uid, segment.tracking_id),
        referenced_segment=ReferencedSegment(
            sop_class_uid=seg.SOPClassUID,
            sop_instance_uid=seg.SOPInstanceUID,
            segment_number=entry.number,
            source_series=SourceSeriesForSegmentation(seg.ReferencedSeriesSequence[0].SeriesInstanceUID),
        ),
        finding_category=concept(segment.category),
        finding_type=concept(segment.type),
        finding_sites=[FindingSite(concept(segment.region))] if segment.region else None,
        algorithm_id=algorithm,
        measurements=[
            Measurement(concept(name), round(getattr(entry, quantity), decimals), concept(unit))
            for quantity, (name, unit, decimals) in _QUANTITIES.items()
        ],
    )


@dataclass(frozen=True)
class _Meant:
    """What a report should say; taken before highdicom, which lets reports share attributes with the DICOM-SEG."""

    identity: dict[str, str]
    instance: str
    described: dict[int, Segment]
    measured: Sequence[MeasuredSegment]


def _identity(dataset: Dataset) -> dict[str, str]:
    return {keyword: str(dataset.get(keyword) or "") for keyword in _IDENTITY}


def _verify(path: Path, meant: _Meant) -> None:
    """Walk through the file as pydicom reads it, and find each number under its segment."""
    read = read_dataset(path)
    for keyword, value in _identity(read).items():
        if value != meant.identity[keyword]:
            raise _differs(keyword)
    found = {number: rest for number, *rest in groups(read)}
    for entry in meant.measured:
        values = {
            name.value: (round(getattr(entry, quantity), decimals), unit.value)
            for quantity, (name, unit, decimals) in _QUANTITIES.items()
        }
        tracking_uid = meant.described[entry.number].tracking_uid
        if found.pop(entry.number, None) != [meant.instance, tracking_uid, values]:
            raise _differs(f"what it says of segment {entry.number}")
    if found:
        raise _differs("the number of segments")


def groups(report: Dataset) -> Iterator[tuple[int, str, str, dict[str, tuple[float, str]]]]:
    """Of each measurement group: segment number, SEG instance, tracking UID, and (value, unit) by concept."""
    for container in _walk(report):
        if _concept_of(container) != "125007":  # Measurement Group
            continue
        number, instance, tracking, values = 0, "", "", {}
        for item in _walk(container):
            if item.ValueType == "NUM":
                value = item.MeasuredValueSequence[0]
                unit = value.MeasurementUnitsCodeSequence[0].CodeValue
                values[_concept_of(item)] = (float(value.NumericValue), str(unit))
            elif _concept_of(item) == "112040":  # Tracking Unique Identifier
                tracking = str(item.UID)
            elif _concept_of(item) == "121191":  # Referenced Segment
                reference = item.ReferencedSOPSequence[0]
                number, instance = int(reference.ReferencedSegmentNumber), str(reference.ReferencedSOPInstanceUID)
        yield number, instance, tracking, values


def _walk(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or []:
        yield child
        yield from _walk(child)


def _concept_of(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else ""


def _differs(what: str) -> WriteError:
    return WriteError(f"The measurement report did not read back as written: {what} differs; the old file was kept.")
