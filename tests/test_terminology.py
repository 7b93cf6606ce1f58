"""The table of codes: what people say finds what DICOM says."""

from __future__ import annotations

import pytest
from highdicom.seg import SegmentDescription
from pydicom.sr.coding import Code as DicomCode

from edgeflow_med.errors import UsageError
from edgeflow_med.segmentation import LESION, MORPHOLOGICALLY_ABNORMAL, Code
from edgeflow_med.terminology import find, is_abnormal, names_lesion, search, terms

SAID = {
    "lesion": ("52988006", "Morphologically Abnormal Structure"),
    "Tumour": ("108369006", "Morphologically Abnormal Structure"),
    "metastases": ("14799000", "Morphologically Abnormal Structure"),
    "oedema": ("79654002", "Morphologically Abnormal Structure"),
    "Liver": ("10200004", "Anatomical Structure"),
    "spleen": ("78961009", "Anatomical Structure"),
    "kidney": ("64033007", "Anatomical Structure"),
    "lymph node": ("59441001", "Anatomical Structure"),
    "10200004": ("10200004", "Anatomical Structure"),
    "catheter": ("19923001", "Physical object"),
}


@pytest.mark.parametrize("text", SAID)
def test_what_people_say_is_found(text: str) -> None:
    term = find(text)
    assert (term.type.value, term.category.meaning) == SAID[text]
    assert search(text)[0] == term


def test_the_default_of_a_segment_is_in_the_table() -> None:
    term = find("Lesion")
    assert (term.category, term.type) == (MORPHOLOGICALLY_ABNORMAL, LESION)


def test_beginnings_are_found_shorter_names_first() -> None:
    names = [term.type.meaning for term in search("kidn")]
    assert names[0] == "Kidney"
    assert len(names) > 1
    assert search("") == search("zzz") == []
    assert len(search("a", limit=3)) == 3


def test_what_is_not_there_is_told_with_what_comes_close() -> None:
    with pytest.raises(UsageError, match="'Kidney'"):
        find("kidn")
    with pytest.raises(UsageError, match="another word"):
        find("flux capacitor")


def test_names_of_lesions_are_told_from_others() -> None:
    for name in ("tumour", "Enhancing Tumour", "lesion", "lung nodule", "cyst 2"):
        assert names_lesion(name), name
    for name in ("", "structure 1", "heart", "anterior hippocampus", "kidney", "vertebra T12"):
        assert not names_lesion(name), name
    assert is_abnormal(Code("49755003", "SCT", "Morphologically Altered Structure"))  # as others word it
    assert not is_abnormal(find("kidney").category)


def test_every_term_can_stand_in_a_dicom_seg() -> None:
    known = terms()
    assert len(known) > 850
    assert len({(term.category, term.type) for term in known}) == len(known)
    for term in known[::50]:
        category, kind = (DicomCode(code.value, code.scheme, code.meaning) for code in (term.category, term.type))
        described = SegmentDescription(1, "x", category, kind, "MANUAL")
        assert described.segmented_property_type == kind
        assert len(term.type.value) <= 16
