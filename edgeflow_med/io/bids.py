"""What BIDS wants beside a label map: a JSON sidecar and a table of labels, written and read back.

Names follow BIDS derivatives: ``*_dseg.nii.gz`` for a label map of several segments, with ``*_dseg.json`` and
``*_dseg.tsv``; ``*_label-<label>_mask.nii.gz`` for one segment alone.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from typing import Any

from edgeflow_med import __version__
from edgeflow_med.errors import ReadError, WriteError
from edgeflow_med.io.atomic import Part, text_part
from edgeflow_med.io.dicom_text import printable
from edgeflow_med.io.wording import one_line
from edgeflow_med.segmentation import PALETTE, AlgorithmType, Code, Segment, Segmentation

_NAME = re.compile(r"(?P<stem>.*)_dseg(?P<suffix>\.nii(\.gz)?)", re.IGNORECASE)
_PLAIN = re.compile(r"(?P<stem>.*?)(_dseg)?(?P<suffix>\.nii(\.gz)?)", re.IGNORECASE)
_COLUMNS = ("index", "name", "color")
_MOST_BYTES = 2**24  # of a sidecar that is read


def stem_of(path: Path) -> str:
    """The name of a BIDS label map without its suffix, ``sub-01_dseg``.

    Raises:
        WriteError: It is not that of a BIDS label map.
    """
    name = _NAME.fullmatch(path.name)
    if name is None:
        stem = path.name.split(".")[0] or "segmentation"
        raise WriteError(f"Cannot write {path}: a BIDS label map is named *_dseg.nii.gz; give {stem}_dseg.nii.gz.")
    return f"{name['stem']}_dseg"


def label_map_sidecars(segmentation: Segmentation, path: Path) -> list[Part]:
    """The JSON sidecar and the table of labels that go with the label map ``path``.

    Raises:
        WriteError: The name is not that of a BIDS label map.
    """
    stem = stem_of(path)
    return [
        text_part(path.with_name(f"{stem}.json"), _sidecar(segmentation, segmentation.segments)),
        text_part(path.with_name(f"{stem}.tsv"), _table(segmentation)),
    ]


def mask_sidecar(segmentation: Segmentation, index: int, path: Path) -> Part:
    """The JSON sidecar that goes with ``path``, the mask of one segment alone."""
    return text_part(
        path.with_name(f"{path.name.split('.nii')[0]}.json"),
        _sidecar(segmentation, segmentation.segments[index : index + 1]),
    )


def mask_paths(segmentation: Segmentation, path: Path) -> list[Path]:
    """One name for each segment alone: ``lesion.nii.gz`` -> ``lesion_label-Liver_mask.nii.gz``."""
    name = _PLAIN.fullmatch(path.name)
    assert name is not None  # the caller has checked the suffix
    words: list[str] = []
    for segment in segmentation.segments:
        letters = re.sub(r"[^0-9A-Za-z]", "", segment.label) or f"segment{segment.number}"
        taken = letters.lower() in (word.lower() for word in words)
        words.append(f"{letters}{segment.number}" if taken else letters)
    return [path.with_name(f"{name['stem']}_label-{word}_mask{name['suffix']}") for word in words]


def segments_beside(path: Path) -> dict[int, Segment]:
    """What the JSON sidecar that we write, or else the table of labels, says of the values of a NIfTI label map.

    Args:
        path: The label map; files beside it with its name may be there or not, or be about something else.

    Returns:
        By value; segments are numbered by it.

    Raises:
        ReadError: Such a file is broken.
    """
    stem = path.name[: path.name.lower().rindex(".nii")]
    found: dict[int, Segment] = {}
    for suffix, read in ((".json", _segments_of_sidecar), (".tsv", _segments_of_table)):
        file = path.with_name(stem + suffix)
        if found or not file.is_file():
            continue
        try:
            if file.stat().st_size > _MOST_BYTES:
                raise ValueError(f"more than {_MOST_BYTES} bytes")
            found = read(file.read_text("utf-8-sig"))
        except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError, csv.Error) as error:
            raise ReadError(
                f"{file.name}, which says what {path.name} holds, is broken ({one_line(error)}); repair it, or move it "
                "elsewhere."
            ) from None
    return found


def _segments_of_sidecar(text: str) -> dict[int, Segment]:
    segments = [_segment(words) for words in json.loads(text).get("Segments", ())]
    if len(segments) == 1:  # alone in a mask of 0 and 1, whatever its number was among others
        return {1: replace(segments[0], number=1)}
    return {segment.number: segment for segment in segments}


def _segment(words: dict[str, Any]) -> Segment:
    """The inverse of `_described`; review starts anew with whoever reads it."""
    return Segment(
        number=int(words["number"]),
        label=str(words["label"]),
        category=_code(words["category"]),
        type=_code(words["type"]),
        algorithm_type=AlgorithmType(words["algorithm_type"]),
        algorithm_name=str(words["algorithm_name"]),
        algorithm_version=str(words["algorithm_version"]),
        tracking_uid=str(words["tracking_uid"]),
        colour=_colour(words["colour"]),
        tracking_id=str(words["tracking_id"]),
        region=_code(words["region"]) if words["region"] else None,
    )


def _code(words: dict[str, Any]) -> Code:
    return Code(str(words["value"]), str(words["scheme"]), str(words["meaning"]))


def _segments_of_table(text: str) -> dict[int, Segment]:
    """Names and colours of a BIDS table of labels; another table says nothing."""
    found: dict[int, Segment] = {}
    for row in csv.DictReader(StringIO(text), delimiter="\t"):
        if row.get("index") and row.get("name"):
            number = int(row["index"])
            found[number] = Segment(number, row["name"], colour=PALETTE[(number - 1) % len(PALETTE)])
            if re.fullmatch(r"#[0-9a-fA-F]{6}", row.get("color") or ""):
                found[number] = replace(found[number], colour=_colour(bytes.fromhex(row["color"][1:])))
    return found


def _colour(channels: Sequence[int]) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, int(channel))) for channel in channels)
    return red, green, blue


def _sidecar(segmentation: Segmentation, segments: Sequence[Segment]) -> str:
    volume = segmentation.volume
    uid = str(volume.headers[0].get("SeriesInstanceUID", "")) if volume.headers else ""
    document = {
        "Description": "Segmentation made with EdgeFlow-Med; not for clinical use",
        "Manual": all(segment.algorithm_type == AlgorithmType.MANUAL for segment in segments),
        "SpatialReference": "orig",
        "GeneratedBy": {"Name": "EdgeFlow-Med", "Version": __version__},
        "SourceSeriesSHA256": hashlib.sha256(uid.encode()).hexdigest() if uid else None,
        "UnreviewedSlices": sum(segment.unreviewed_slices for segment in segments),
        "Note": segmentation.note,
        "Provenance": segmentation.provenance,
        "Segments": [_described(segment) for segment in segments],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _described(segment: Segment) -> dict[str, Any]:
    return {**asdict(segment), "algorithm_type": segment.algorithm_type.value, "colour": list(segment.colour)}


def _table(segmentation: Segmentation) -> str:
    text = StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(_COLUMNS)
    for segment in segmentation.segments:
        writer.writerow([segment.number, printable(segment.label), "#{:02x}{:02x}{:02x}".format(*segment.colour)])
    return text.getvalue()
