"""What a segment shows, in codes: DICOM's own table of categories and types, searchable by what people say.

The table is that of DICOM PS3.16: categories are context group 7150, the types of each are the group that belongs to it
(7192 anatomy, 7194 morphologically abnormal structures, ...), nearly all SNOMED CT codes that DICOM may use freely. It
comes with pydicom, so nothing has to be downloaded and no code is typed by hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from edgeflow_med.errors import UsageError
from edgeflow_med.segmentation import MORPHOLOGICALLY_ABNORMAL, Code

# Context groups of types, by the SNOMED code of their category; the likeliest to be segmented first.
_GROUPS = {
    "49755003": "CID7194",  # Morphologically Abnormal Structure
    "91723000": "CID7192",  # Anatomical Structure
    "85756007": "CID7191",  # Tissue
    "91720002": "CID7197",  # Body Substance
    "260787004": "CID7193",  # Physical object
    "309825002": "CID7196",  # Spatial and Relational Concept
    "246464006": "CID7195",  # Function
}
# What readers say -> what the table says.
_SYNONYMS = {
    "tumor": "neoplasm",
    "tumour": "neoplasm",
    "cancer": "neoplasm",
    "carcinoma": "neoplasm",
    "metastasis": "neoplasm secondary",
    "metastases": "neoplasm secondary",
    "oedema": "edema",
    "haemorrhage": "hemorrhage",
    "bleeding": "hemorrhage",
    "haematoma": "hemorrhage",
    "hematoma": "hemorrhage",
    "thrombus": "blood clot",
    "lymphnode": "lymph node",
    "node": "lymph node",
    "oesophagus": "esophagus",
    "stone": "calculus",
    "fluid": "body fluid",
    "ascites": "body fluid",
    "air": "gas",
}


@dataclass(frozen=True)
class Term:
    """One thing that a segment may show: a coded category and a coded type of it."""

    category: Code
    type: Code

    def __str__(self) -> str:
        return f"{self.type.meaning} ({self.category.meaning})"


@cache
def terms() -> tuple[Term, ...]:
    """The whole table, some 900 terms, category by category."""
    found: dict[tuple[str, str, str], Term] = {}
    categories = {code.value: code for code in _group("CID7150")}
    assert categories.keys() >= _GROUPS.keys()  # pydicom's table is DICOM's
    for value, name in _GROUPS.items():
        for code in _group(name):
            found.setdefault((value, code.scheme, code.value), Term(categories[value], code))
    return tuple(found.values())


def search(text: str, limit: int = 20) -> list[Term]:
    """Terms that hold all words of a text, as wholes or beginnings, the best first.

    Args:
        text: Words as a reader says them, British or American, e.g. ``"tumour"``, ``"lymph n"``; or a code's value.
        limit: At most so many.

    Returns:
        Exact names first, then those that begin with the text, then shorter ones before longer ones; an empty list if
        nothing fits.
    """
    asked = _words(text)
    if not asked:
        return []
    alternatives = [asked, [part for word in asked for part in _SYNONYMS.get(word, word).split()]]
    ranked = []
    for place, term in enumerate(terms()):
        words = _words(term.type.meaning)
        for wanted in alternatives:
            if term.type.value == text.strip() or all(any(w.startswith(part) for w in words) for part in wanted):
                begins = words[: len(wanted)] == wanted
                ranked.append(((words != wanted, not begins, len(words)), place, term))
                break
    return [term for _, _, term in sorted(ranked, key=lambda found: found[:2])[:limit]]


def find(text: str) -> Term:
    """The term of exactly this name, synonym or code value.

    Raises:
        UsageError: There is none; the message names what comes close.
    """
    found = look_up(text)
    if found is not None:
        return found
    near = ", ".join(repr(term.type.meaning) for term in search(text, 5))
    raise UsageError(f"Unknown term {text!r}; give {'one like ' + near if near else 'another word for it'}.")


def look_up(text: str) -> Term | None:
    """The same, or None if there is none."""
    wanted = [_words(text), [part for word in _words(text) for part in _SYNONYMS.get(word, word).split()]]
    exact = (t for t in search(text, 5) if _words(t.type.meaning) in wanted or t.type.value == text.strip())
    return next(exact, None)


def names_lesion(text: str) -> bool:
    """Whether a word of a name is the exact name of an abnormal structure: ``"enhancing tumour"``."""
    found = (look_up(word) for word in _words(text))
    return any(is_abnormal(term.category) for term in found if term is not None)


def is_abnormal(category: Code) -> bool:
    """Whether a category is that of lesions, whatever words go with the code."""
    return (category.scheme, category.value) == (MORPHOLOGICALLY_ABNORMAL.scheme, MORPHOLOGICALLY_ABNORMAL.value)


def _group(name: str) -> list[Code]:
    """The concepts of one of DICOM's context groups."""
    from pydicom.sr.codedict import codes

    group = getattr(codes, name)
    concepts = (getattr(group, keyword) for keyword in group.dir())
    return [Code(concept.value, concept.scheme_designator, concept.meaning) for concept in concepts]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
