"""How a saved mask came to be, for the file beside it: who, when, by which model, from which prompts, slice by slice.

``GeneratedBy`` has the form that BIDS gives it (BIDS 1.10, derivatives). UIDs appear only as SHA-256; what the reader
remarked on slices is left out, since remarks may name a patient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from edgeflow_med import __version__
from edgeflow_med.session.core import Core
from edgeflow_med.session.journal import read_journal
from edgeflow_med.session.records import Record, acting_segment, slices_touched, standing_steps
from edgeflow_med.session.state import Origin, SegmentState, SliceState, SliceStatus, plane_of

Document = dict[str, Any]


def provenance(session: Core, *, accepted_only: bool = False, deidentify: bool = False) -> Document:
    """Describe how the segments of a session with a journal came to be, as JSON values.

    What was undone is no part of it; ``edgeflow-med effort`` counts that.

    Args:
        session: It must have a case folder.
        accepted_only: Whether slices that nobody accepted are left out of the file.
        deidentify: Leave out dates, times and who read.

    Raises:
        ReadError: The journal cannot be read.
    """
    assert session.case_dir is not None  # the caller has looked
    records = list(read_journal(session.case_dir))
    steps = standing_steps(records)
    asked = {record["n"]: record for record in records if record["type"] == "prompt"}
    models = sorted({tuple(step["model"]) for step in steps if "model" in step})
    sittings = [record for record in records if record["type"] in ("open", "resume")]
    document: Document = {
        "Description": "How the segments came to be; made with EdgeFlow-Med, not for clinical use",
        "GeneratedBy": [
            {"Name": "EdgeFlow-Med", "Version": __version__, "Description": "interactive segmentation by a reader"},
            *({"Name": name, "Version": version, "Description": "the model that answered"} for name, version in models),
        ],
        "SourceSeriesSHA256": records[0]["volume"]["series_sha256"],
        "SourceVoxelsSHA256": records[0]["volume"]["digest"],
        "Window": str(session.window),
        "OverlapPolicy": session.policy.value,
        "AcceptedSlicesOnly": accepted_only,
    }
    if not deidentify:
        document |= {
            "Readers": sorted({record["reader"] for record in sittings if record["reader"]}),
            "Started": records[0]["time"],
            "LastChanged": max((step["time"] for step in steps), default=records[0]["time"]),
            "Saved": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    document["Segments"] = [
        _described(session, state, number, steps, asked, dated=not deidentify)
        | {"Slices": _slices(session, state, accepted_only=accepted_only)}
        for number, state in enumerate(session.segments, 1)
    ]
    return document


def slice_origin(known: SliceState | None, segment: SegmentState) -> str:
    """In one word where a slice of a segment comes from, the reader's own hand first.

    ``edited`` (painted, erased or edited), ``prompted`` (answered by the model on this slice), ``propagated``,
    ``imported``, or ``other`` (e.g. voxels that slices of another plane brought).
    """
    if known is not None and known.edited:
        return "edited"
    if known is not None and known.prompts:
        return "prompted"
    if known is not None and known.packed is not None:
        return "propagated"
    return "imported" if Origin.IMPORT in segment.info.origins else "other"


def _described(
    session: Core,
    state: SegmentState,
    number: int,
    steps: Sequence[Record],
    asked: dict[int, Record],
    *,
    dated: bool,
) -> Document:
    own = [step for step in steps if acting_segment(_question(step, asked) or step) == state.id]
    prompts = [
        _prompted(step, question, dated=dated)
        for step in own
        if (question := _question(step, asked)) is not None and question["deletes"] is None
    ]
    edits = [_edited(session, step, state.id, dated=dated) for step in own if step["kind"] in ("paint", "edit")]
    info = state.info
    return {
        "Number": number,
        "Label": info.label,
        "TrackingUID": info.tracking_uid,
        "AlgorithmType": info.algorithm_type.value,
        "Model": " ".join(info.model).strip(),
        "Origins": sorted(origin.value for origin in info.origins),
        "PromptCounts": dict(sorted(Counter(prompt["Prompt"]["type"] for prompt in prompts).items())),
        "Prompts": prompts,
        "ManualEdits": edits,
        "Propagations": sum(step["kind"] == "propagate" and not step["extends"] for step in own),
    }


def _question(step: Record, asked: dict[int, Record]) -> Record | None:
    return asked.get(step["prompt"] or 0)


def _prompted(step: Record, question: Record, *, dated: bool) -> Document:
    told = {"Plane": question["plane"], "Slice": question["slice"], "Prompt": question["prompt"]}
    return {"Time": question["time"], **told, "Model": " ".join(step["model"])} if dated else told


def _edited(session: Core, step: Record, segment: int, *, dated: bool) -> Document:
    places = slices_touched(step, segment)
    axis = places[0][1] if places else session.axis
    told = {
        "Edit": step["name"],
        "Plane": session.volume.plane(axis).value,
        "Slices": sorted(index for _, a, index in places if a == axis),
    }
    return {"Time": step["time"], **told} if dated else told


def _slices(session: Core, state: SegmentState, *, accepted_only: bool) -> list[Document]:
    """One entry for each slice of the session's plane that holds something, and for what is known of other planes.

    ``ExpectedQuality`` is what the model expected of its last answer: IoU for a prompt, Dice for propagation.
    """
    filled = [(session.axis, index) for index in range(session.volume.shape[session.axis])]
    keys = {key for key in (*filled, *state.slices) if plane_of(state.mask, key).any()}
    rows = []
    for axis, index in sorted(keys):
        known = state.slices.get((axis, index))
        if accepted_only and (known is None or known.status is SliceStatus.PROPOSED):
            continue
        rows.append(
            {
                "Plane": session.volume.plane(axis).value,
                "Slice": index,
                "Origin": slice_origin(known, state),
                "Status": None if known is None else known.status.value,
                "ExpectedQuality": None if known is None or known.quality is None else round(known.quality, 4),
                "Flagged": known is not None and known.flagged,
            }
        )
    return rows
