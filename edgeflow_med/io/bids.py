"""What BIDS wants beside a label map: a JSON sidecar and a table of labels.

Names follow BIDS derivatives: ``*_dseg.nii.gz`` for a label map of several segments, with ``*_dseg.json`` and
``*_dseg.tsv``; ``*_label-<label>_mask.nii.gz`` for one segment alone.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

from edgeflow_med import __version__
from edgeflow_med.errors import WriteError
from edgeflow_med.io.atomic import Part, text_part
from edgeflow_med.segmentation import AlgorithmType, Segment, Segmentation

_NAME = re.compile(r"(?P<stem>.*)_dseg(?P<suffix>\.nii(\.gz)?)", re.IGNORECASE)
_PLAIN = re.compile(r"(?P<stem>.*?)(_dseg)?(?P<suffix>\.nii(\.gz)?)", re.IGNORECASE)
_COLUMNS = ("index", "name", "color")


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
        writer.writerow(
            [segment.number, " ".join(segment.label.split()), "#{:02x}{:02x}{:02x}".format(*segment.colour)]
        )
    return text.getvalue()
