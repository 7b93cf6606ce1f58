"""What libraries say of a broken file, fit to be told."""

from __future__ import annotations

import re
import sys

MOST = 160
_QUOTED = re.compile(r"b?'[^']*'|b?\"[^\"]*\"")
_NUMBERS = re.compile(r"[\d\s.,:+\\/()\[\]xeE-]*")


def one_line(error: BaseException) -> str:
    """What an error says, in one line of bearable length, without the values that it quotes.

    A value in a file may be the patient's name; only numbers and the keywords of DICOM attributes stay.
    """
    return _QUOTED.sub(_shown, " ".join(str(error).split()))[:MOST]


def _shown(quoted: re.Match[str]) -> str:
    inner = quoted[0].removeprefix("b")[1:-1]
    dictionary = sys.modules.get("pydicom.datadict")
    known = _NUMBERS.fullmatch(inner) or (dictionary is not None and inner in dictionary.keyword_dict)
    return quoted[0] if known else "'...'"
