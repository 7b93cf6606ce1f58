"""What a run found, for people and programs: plain JSON values, and nothing that names a patient.

Left out on purpose: names, numbers and dates of patients, series descriptions, and the path of the input, all of which
may tell who was scanned. UIDs appear only as SHA-256.
"""

from __future__ import annotations

import hashlib
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import numpy as np

from edgeflow_med import __version__
from edgeflow_med.measurements import Diameters, longest_diameters, slice_diameters, volume_ml
from edgeflow_med.prompts import to_document
from edgeflow_med.propagation import SliceStep
from edgeflow_med.session import SegmentState, Session
from edgeflow_med.volume import Volume

NOTICE = "Not a medical device; not for clinical use."
_LIBRARIES = ("torch", "numpy", "pydicom", "highdicom", "SimpleITK", "nibabel")
_UID = re.compile(r"\b[0-2](?:\.\d+){4,}\b")


def describe(
    session: Session,
    steps: Sequence[Sequence[SliceStep]] = (),
    *,
    checksum: str = "",
    seconds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Everything that a session found, as JSON values.

    Args:
        session: After its prompts and propagation.
        steps: For each segment, in order, the steps of its propagation; empty where there was none.
        checksum: SHA-256 of the model's weights.
        seconds: How long the parts of the run took, by name.

    Returns:
        Lengths in mm, areas in mm2, volumes in ml, slices as zero-based numbers along the axis of ``plane``.
        ``prompts`` is the content of a prompts file that would ask for the same again.
    """
    window, predictor = session.window, session.predictor
    walks = [*steps, *([()] * len(session.segments))]
    return {
        "edgeflow_med": __version__,
        "date": datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        "input": _describe_volume(session.volume),
        "plane": session.plane.value,
        "axis": "kji"[session.axis],
        "window": {"name": window.name, "low": window.low, "high": window.high},
        "model": {
            "name": predictor.name if predictor else "",
            "version": predictor.version if predictor else "",
            "sha256": checksum,
            "device": predictor.device if predictor else "",
        },
        "prompts": prompts_document(session),
        "segments": [
            describe_segment(session, state, walk) for state, walk in zip(session.segments, walks, strict=False)
        ],
        "seconds": {name: round(value, 3) for name, value in (seconds or {}).items()},
        "versions": {"python": platform.python_version(), **_versions(), "platform": platform.platform()},
        "notice": NOTICE,
    }


def describe_segment(session: Session, state: SegmentState, steps: Sequence[SliceStep] = ()) -> dict[str, Any]:
    """What was found of one segment; see :func:`describe`."""
    seconds = session.prompt_seconds(state)
    return {
        "label": state.label,
        "volume_ml": round(volume_ml(state.mask, session.volume), 4),
        "diameters": _describe_diameters(longest_diameters(state.mask, session.volume, session.plane)),
        "unreviewed_slices": session.unreviewed(state),
        "prompt_seconds": [round(value, 4) for value in seconds],
        "first_prompt_seconds": round(seconds[0], 4) if seconds else None,
        "later_prompts_median_seconds": round(statistics.median(seconds[1:]), 4) if len(seconds) > 1 else None,
        "slices": _describe_slices(session, state),
        "stops": [
            {"slice": step.index, "direction": step.direction, "reason": step.stop.value}
            for step in steps
            if step.stop is not None
        ],
    }


def prompts_document(session: Session) -> dict[str, Any]:
    """The session's prompts in the form of a prompts file; segments without prompts are left out."""
    segments = [
        {"label": state.label, "prompts": prompts}
        for state in session.segments
        if (prompts := [to_document(p) for _, known in state.on_axis(session.axis) for p in known.prompts])
    ]
    return {"version": 1, "plane": session.plane.value, "segments": segments}


def _describe_volume(volume: Volume) -> dict[str, Any]:
    uid = str(volume.headers[0].get("SeriesInstanceUID", "")) if volume.headers else ""
    return {
        "modality": volume.modality,
        "shape": list(volume.shape),
        "spacing_mm": [round(value, 6) for value in volume.spacing],
        "orientation": volume.orientation,
        "affine": volume.affine.tolist(),
        "series_uid_sha256": _hashed(uid) if uid else None,
        "warnings": [_UID.sub(lambda match: f"UID sha256:{_hashed(match[0])[:12]}", line) for line in volume.warnings],
    }


def _describe_slices(session: Session, state: SegmentState) -> list[dict[str, Any]]:
    """One row per slice that the mask touches."""
    pixel_mm2 = float(np.prod(session.slice_spacing))
    rows = []
    for measured in slice_diameters(state.mask, session.volume, session.plane):
        index = measured.slice_index
        known = state.slices.get((session.axis, index))
        origin = "imported" if known is None else "prompted" if known.prompts else known.status.value
        rows.append(
            {
                "slice": index,
                "origin": origin,
                "area_mm2": round(int(np.take(state.mask, index, session.axis).sum()) * pixel_mm2, 2),
                "longest_mm": round(measured.longest_mm, 2),
                "perpendicular_mm": round(measured.perpendicular_mm, 2),
                "quality": None if known is None or known.quality is None else round(known.quality, 4),
                "edge_agreement": None if known is None else round(session.edge_quality(state, index), 4),
            }
        )
    return rows


def _describe_diameters(found: Diameters | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "slice": found.slice_index,
        "longest_mm": round(found.longest_mm, 2),
        "perpendicular_mm": round(found.perpendicular_mm, 2),
        "longest_ends": [list(end) for end in found.longest_ends],
        "perpendicular_ends": [list(end) for end in found.perpendicular_ends],
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # e.g. an engine that runs without torch
            continue
    return found


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
