"""De-identification by the Basic Application Confidentiality Profile (DICOM PS3.15, annex E), table 2024b.

dicom-anonymizer knows the table. It is applied to the headers of the source images, from which everything about the
patient and the study comes, before a Segmentation or a report is built from them; afterwards only the dates of the new
object itself remain to be dealt with. Nothing is looked for in free text: labels that name a patient stay as they are.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from copy import deepcopy
from dataclasses import replace
from importlib import metadata

from pydicom import Dataset
from pydicom.sr.coding import Code as CodedConcept

from edgeflow_med.errors import WriteError
from edgeflow_med.segmentation import Segmentation

_PROFILE = CodedConcept("113100", "DCM", "Basic Application Confidentiality Profile")
# What stands where a date or time must not be left out.
_DUMMIES = {"DA": "19000101", "TM": "000000", "DT": "19000101000000"}
_EMPTIED = ("StudyDate", "StudyTime", "PatientBirthDate")


def deidentified(segmentation: Segmentation) -> Segmentation:
    """The same masks on a volume whose headers name nobody, with tracking UIDs of their own.

    UIDs are replaced by random ones, the same for the same within this process, so that files written by one run fit
    together; they refer to images whose UIDs nobody can find out.

    Raises:
        WriteError: The headers hold something that the library cannot deal with.
    """
    from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, get_UID, initialize_actions_2024b

    headers = []
    for header in segmentation.volume.headers:
        copy = deepcopy(header)
        try:
            anonymize_dataset(copy, base_rules_gen=initialize_actions_2024b)
        except (NotImplementedError, TypeError, ValueError, KeyError) as error:
            raise WriteError(
                f"The headers of the images cannot be de-identified ({type(error).__name__}); repair them, or leave "
                "de-identification out."
            ) from error
        for keyword in _EMPTIED:
            setattr(copy, keyword, "")  # the library writes the year 1 there, which validators refuse
        headers.append(copy)
    segments = (
        replace(segment, tracking_uid=get_UID(segment.tracking_uid) if segment.tracking_uid else "")
        for segment in segmentation.segments
    )
    return replace(
        segmentation,
        volume=replace(segmentation.volume, headers=tuple(headers)),
        segments=tuple(segments),
    )


def finish_deidentified(dataset: Dataset) -> None:
    """Take a new object's own dates out of it, and say in it what was done."""
    from dicomanonymizer.simpledicomanonymizer import initialize_actions_2024b

    _without_dates(dataset, initialize_actions_2024b().keys())
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    version = metadata.version("dicom-anonymizer")
    dataset.DeidentificationMethod = f"PS3.15 2024b basic profile, dicom-anonymizer {version}"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = _PROFILE[:3]
    dataset.DeidentificationMethodCodeSequence = [code]


def _without_dates(dataset: Dataset, listed: AbstractSet[tuple[int, ...]]) -> None:
    """Put a dummy for each date and time that the profile lists; those of the patient and the study stay empty."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _without_dates(item, listed)
        elif element.VR in _DUMMIES and element.value and (element.tag.group, element.tag.element) in listed:
            element.value = _DUMMIES[element.VR]
