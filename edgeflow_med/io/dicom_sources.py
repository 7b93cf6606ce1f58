"""The headers of source images as highdicom accepts them, and what had to be changed to get there.

Real series lack Type 2 attributes, name no frame of reference, jitter in orientation, or hold values that are not what
they should be. The stand-ins made here are only built from; the headers of the volume stay as they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset
from pydicom.uid import UID, generate_uid
from pydicom.valuerep import DA, TM, format_number_as_ds

from edgeflow_med.errors import WriteError
from edgeflow_med.volume import Volume

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
# Dates and times that the new object repeats, left empty where the source's own is not one.
_FORMS: dict[str, type[DA | TM]] = {"StudyDate": DA, "StudyTime": TM, "PatientBirthDate": DA}
_SEXES = ("M", "F", "O")
_UID_REQUIRED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID")
_CT_IMAGE_STORAGE = UID("1.2.840.10008.5.1.4.1.1.2")
# How far slice orientations may differ, in cosines, before it is worth telling.
_JITTER = 1e-5


@dataclass(frozen=True)
class Sources:
    """The source images of a volume, by slice k; slices that are missing from the series are left out.

    Attributes:
        images: Headers to build from; frames of one multi-frame instance have become single-frame instances.
        headers: The volume's own headers, which references must name.
        warnings: What was changed, one line each.
    """

    images: dict[int, Dataset]
    headers: dict[int, Dataset]
    warnings: tuple[str, ...]


def normalised_sources(volume: Volume) -> Sources:
    """Fill, unify and mend the headers of a volume's source images.

    Raises:
        WriteError: There are none, or their UIDs do not allow references to them.
    """
    headers = _referable(volume)
    orientation = _orientation(volume)
    shared = Dataset()
    shared.ImageOrientationPatient = [_decimal(value) for value in orientation]
    shared.PixelSpacing = [_decimal(mm) for mm in volume.spacing[1:]]
    first, warnings = next(iter(headers.values())), list[str]()
    if not first.get("FrameOfReferenceUID"):
        shared.FrameOfReferenceUID = generate_uid(entropy_srcs=[first.SeriesInstanceUID])
        warnings.append("The images name no frame of reference; one derived from their series UID was written.")
    absent = [keyword for keyword in _TYPE_2 if keyword not in first]
    if absent:
        warnings.append(f"The images have no {', '.join(absent)}; written empty.")
    wrong = [keyword for keyword in (*_FORMS, "PatientSex") if first.get(keyword) and not _has_form(first, keyword)]
    if wrong:
        warnings.append(f"The images' {', '.join(wrong)} are not what DICOM allows there; written empty.")
    if not first.get("SliceThickness"):
        shared.SliceThickness = _decimal(volume.spacing[0])
        warnings.append("The images have no SliceThickness; the distance between slices was written.")
    warnings += _told_jitter(headers.values(), orientation) + _told_character_set(first)
    emptied = [*absent, *(k for k in (*_FORMS, "PatientSex") if k not in absent and not _has_form(first, k))]
    for keyword in emptied:
        setattr(shared, keyword, "")
    images = {k: _stand_in(header, k, shared) for k, header in headers.items()}
    return Sources(images, headers, tuple(warnings))


def _referable(volume: Volume) -> dict[int, Dataset]:
    """The headers that can be referred to, by slice."""
    headers = {k: header for k, header in enumerate(volume.headers) if header.get("SOPInstanceUID")}
    if not headers:
        raise WriteError("The source images have no SOPInstanceUID, so a DICOM-SEG cannot refer to them; give .nii.gz.")
    missing = [keyword for header in headers.values() for keyword in _UID_REQUIRED if not header.get(keyword)]
    if missing:
        raise WriteError(f"The source images have no {missing[0]}, so a DICOM-SEG cannot refer to them; give .nii.gz.")
    frames = {(header.SOPInstanceUID, header.get("ReferencedFrameNumber")) for header in headers.values()}
    if len(frames) < len(headers):
        raise WriteError(
            "Several source images have one SOPInstanceUID, so a DICOM-SEG cannot refer to one of them; give .nii.gz."
        )
    return headers


def refer_to_real_instances(dataset: Dataset, headers: Mapping[int, Dataset]) -> None:
    """Where the sources are frames of multi-frame instances, let every reference name the instance and the frame."""
    real = {_stand_in_uid(k): header for k, header in headers.items() if "ReferencedFrameNumber" in header}
    if not real:
        return
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        for reference in frame.DerivationImageSequence[0].SourceImageSequence:
            header = real[reference.ReferencedSOPInstanceUID]
            reference.ReferencedSOPClassUID = header.SOPClassUID
            reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
            reference.ReferencedFrameNumber = header.ReferencedFrameNumber
    instances = []
    for header in {header.SOPInstanceUID: header for header in headers.values()}.values():
        instance = Dataset()
        instance.ReferencedSOPClassUID = header.SOPClassUID
        instance.ReferencedSOPInstanceUID = header.SOPInstanceUID
        instances.append(instance)
    dataset.SourceImageSequence = instances
    dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence = instances


def _orientation(volume: Volume) -> NDArray[np.float64]:
    """Six cosines, along a row and along a column, made orthonormal."""
    rows, columns = volume.affine[:3, 2] / volume.spacing[2], volume.affine[:3, 1] / volume.spacing[1]
    columns = columns - rows * (rows @ columns)
    return np.concatenate([rows, columns / np.linalg.norm(columns)])


def _stand_in(header: Dataset, k: int, shared: Dataset) -> Dataset:
    source = header[:]  # shares its elements with the header, so they are replaced and never changed
    source.update(shared)
    if "ReferencedFrameNumber" in header:
        for keyword, value in (("SOPInstanceUID", _stand_in_uid(k)), ("SOPClassUID", _CT_IMAGE_STORAGE)):
            source[keyword] = DataElement(keyword, "UI", value)
    return source


def _stand_in_uid(k: int) -> str:
    return f"2.25.{k + 1}"


def _has_form(header: Dataset, keyword: str) -> bool:
    value = header.get(keyword)
    if keyword == "PatientSex":
        return value in _SEXES
    try:
        _FORMS[keyword](value)
    except (ValueError, TypeError):
        return False
    return True


def _told_jitter(headers: Iterable[Dataset], orientation: NDArray[np.float64]) -> list[str]:
    given = np.array([header.ImageOrientationPatient for header in headers], np.float64)
    apart = float(np.abs(given - orientation).max())
    if apart <= _JITTER:
        return []
    return [f"The images' orientations differ by up to {apart:.1g} from one another; their mean was written."]


def _told_character_set(header: Dataset) -> list[str]:
    name = header.get("SpecificCharacterSet")
    if not name or isinstance(name, str):
        return []
    return [f"Text was rewritten from {' and '.join(filter(None, name))} to UTF-8; every character is kept."]


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters, as DICOM allows."""
    return format_number_as_ds(float(value))
