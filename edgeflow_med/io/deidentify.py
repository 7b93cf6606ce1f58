"""De-identification by the Basic Application Confidentiality Profile (DICOM PS3.15, annex E), table 2024b.

dicom-anonymizer knows the table. It is applied to the headers of the source images, from which everything about the
patient and the study comes, before a Segmentation or a report is built from them; afterwards only the dates of the new
object itself remain to be dealt with. Nothing is looked for in free text: labels that name a patient stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from importlib import metadata

from pydicom import Dataset
from pydicom.sr.coding import Code as CodedConcept

from edgeflow_med.segmentation import Segmentation

_PROFILE = CodedConcept("113100", "DCM", "Basic Application Confidentiality Profile")
_DATES = ("DA", "TM", "DT")
_Action = Callable[[Dataset, tuple[int, ...]], None]


def deidentified(segmentation: Segmentation) -> Segmentation:
    """The same masks on a volume whose headers name nobody, with tracking UIDs of their own.

    UIDs are replaced by random ones, the same for the same within this process, so that files written by one run fit
    together; they refer to images whose UIDs nobody can find out.
    """
    from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, get_UID, initialize_actions_2024b

    headers = []
    for header in segmentation.volume.headers:
        copy = deepcopy(header)
        anonymize_dataset(copy, base_rules_gen=initialize_actions_2024b)
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

    actions = initialize_actions_2024b()
    _without_dates(dataset, actions)
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    version = metadata.version("dicom-anonymizer")
    dataset.DeidentificationMethod = f"PS3.15 2024b basic profile, dicom-anonymizer {version}"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = _PROFILE[:3]
    dataset.DeidentificationMethodCodeSequence = [code]


def _without_dates(dataset: Dataset, actions: dict[tuple[int, ...], _Action]) -> None:
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value:
                _without_dates(item, actions)
        elif element.VR in _DATES:
            tag = (element.tag.group, element.tag.element)
            if tag in actions:
                actions[tag](dataset, tag)
