"""How much work a case took, counted from its journal: clicks, strokes, time, slices. No scan is needed.

What was undone counts as work; what stands now counts as result. A pause counts for at most the idle limit, so that a
lunch break is no work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from edgeflow_med.errors import UsageError
from edgeflow_med.session.journal import read_journal
from edgeflow_med.session.records import (
    Record,
    SlicePlace,
    acting_segment,
    labels,
    slice_values,
    slices_touched,
    standing_steps,
)

IDLE_SECONDS = 60.0
_STROKES = ("scribble", "box", "lasso", "line")


@dataclass
class Effort:
    """The work on one segment, or on all of a case together.

    Attributes:
        case: The folder's name.
        reader: Pseudonyms of who worked, joined by spaces.
        segment: Its id; None for the whole case.
        label: What it was called last; empty for the whole case.
        removed: It is no longer part of the case.
        clicks: Clicks made.
        strokes: Scribbles, boxes, lassos, lines, and strokes of paint and eraser made.
        edits: Edits with other tools.
        propagations: Propagations begun.
        undone: Undos and redos, on the whole case only.
        active_seconds: Time at work; a pause counts up to the idle limit.
        slices_touched: Slices on which the reader did any of this by hand.
        slices_accepted: Slices that stand accepted now.
        slices_accepted_unmodified: Those of them that the reader never prompted nor edited.
    """

    case: str
    reader: str
    segment: int | None
    label: str
    removed: bool = False
    clicks: int = 0
    strokes: int = 0
    edits: int = 0
    propagations: int = 0
    undone: int = 0
    active_seconds: float = 0.0
    slices_touched: int = 0
    slices_accepted: int = 0
    slices_accepted_unmodified: int = 0

    def row(self) -> dict[str, Any]:
        """Its values as a row of a table."""
        return asdict(self) | {"active_seconds": round(self.active_seconds, 1)}


def case_effort(folder: Path, idle_seconds: float = IDLE_SECONDS) -> list[Effort]:
    """The work on a case: one entry for each segment that it ever had, and one for all of it at the end.

    Args:
        folder: The case.
        idle_seconds: A pause counts for at most so long.

    Raises:
        ReadError: There is no case.
        UsageError: The idle limit is not positive.
    """
    if not idle_seconds > 0:
        raise UsageError(f"The idle limit is {idle_seconds:g} s; give some seconds more than 0.")
    records = list(read_journal(folder))
    reader = " ".join(sorted({r["reader"] for r in records if r.get("reader")}))
    standing = standing_steps(records)
    named = labels(record for record in records if record["type"] == "step")
    now = labels(standing)
    found = {
        segment: Effort(folder.resolve().name, reader, segment, label or _last_label(records, segment))
        for segment, label in sorted(named.items())
    }
    for segment, entry in found.items():
        entry.removed = now.get(segment) is None
    whole = Effort(folder.resolve().name, reader, None, "")
    _count_acts(records, found, whole)
    _count_time(records, found, whole, idle_seconds)
    for place, known in slice_values(standing).items():
        if known["status"] == "accepted" and place[0] in found:
            unmodified = not known["prompts"] and not known["edited"]
            for entry in (found[place[0]], whole):
                entry.slices_accepted += 1
                entry.slices_accepted_unmodified += unmodified
    return [*found.values(), whole]


def _last_label(records: Iterable[Record], segment: int) -> str:
    """What a segment that was removed was called."""
    told = [
        value["is"]["label"]
        for record in records
        if record["type"] == "step"
        for value in record["values"]
        if value["of"] == ["info", segment] and value["is"]
    ]
    return str(told[-1]) if told else ""


def _count_acts(records: Sequence[Record], found: dict[int, Effort], whole: Effort) -> None:
    touched: set[SlicePlace] = set()
    for record in records:
        if record["type"] in ("undo", "redo"):
            whole.undone += 1
        segment = acting_segment(record) if record["type"] in ("prompt", "step") else None
        if segment not in found:
            continue
        for entry in (found[segment], whole):
            if record["type"] == "step":
                _count_step(record, entry)
            elif record["deletes"] is None:
                kind = record["prompt"]["type"]
                entry.clicks += kind == "click"
                entry.strokes += kind in _STROKES
        if record["type"] == "prompt":
            touched.add((segment, record["axis"], record["slice"]))
        elif record["kind"] in ("paint", "edit"):
            touched.update(slices_touched(record, segment))
    for segment, _, _ in touched:
        found[segment].slices_touched += 1
        whole.slices_touched += 1


def _count_step(record: Record, entry: Effort) -> None:
    entry.strokes += record["kind"] == "paint"
    entry.edits += record["kind"] == "edit"
    entry.propagations += record["kind"] == "propagate" and not record["extends"]


def _count_time(records: Sequence[Record], found: dict[int, Effort], whole: Effort, idle: float) -> None:
    """The time before a record goes to the segment that it is about, or else to the one before it."""
    before, current = datetime.fromisoformat(records[0]["time"]), None
    for record in records[1:]:
        now = datetime.fromisoformat(record["time"])
        seconds = min(max((now - before).total_seconds(), 0.0), idle)
        before = now
        if record["type"] in ("prompt", "step"):
            current = acting_segment(record) or current
        whole.active_seconds += seconds
        if current in found:
            found[current].active_seconds += seconds
