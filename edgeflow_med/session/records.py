"""What a journal tells to those who count and report, without its volume: which steps stand, and who did what where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgeflow_med.session.changes import Step
from edgeflow_med.session.history import History

Record = dict[str, Any]
SlicePlace = tuple[int, int, int]  # segment id, axis, slice number


def standing_steps(records: Iterable[Record]) -> list[Record]:
    """Those ``step`` records whose steps are done and not undone, in their order."""
    history, told = History(), dict[int, Record]()
    for record in records:
        match record["type"]:
            case "step":
                step = Step(record["name"], record["kind"])
                told[id(step)] = record
                if record["extends"]:
                    history.extend(step)
                else:
                    history.add(step)
            case "undo":
                history.back()
            case "redo":
                history.forward()
            case "switch":
                history.switch(record["to"])
    return [told[id(part)] for node in history.done for part in node.parts]


def slices_touched(step: Record, segment: int) -> list[SlicePlace]:
    """The slices of a segment of which a step says something."""
    return [
        (key[1], key[2], key[3]) for value in step["values"] if (key := value["of"])[0] == "slice" and key[1] == segment
    ]


def acting_segment(record: Record) -> int | None:
    """The segment that a prompt or step was about; others may have lost voxels to it. None if it was about none."""
    if "segment" in record:
        return int(record["segment"])
    patched = [patch["segment"] for patch in record.get("patches", ())]
    told = [value["of"][1] for value in record.get("values", ()) if value["of"][0] in ("info", "slice")]
    return next(iter([*patched, *told]), None)


def labels(steps: Iterable[Record]) -> dict[int, str | None]:
    """What each segment was called last; None if it was removed."""
    found: dict[int, str | None] = {}
    for step in steps:
        for value in step["values"]:
            if value["of"][0] == "info":
                found[value["of"][1]] = value["is"] and value["is"]["label"]
    return found


def slice_values(steps: Iterable[Record]) -> dict[SlicePlace, Record]:
    """What is known of each slice after the given steps, as the journal writes it; answers are left out."""
    known: dict[SlicePlace, Record] = {}
    for step in steps:
        for value in step["values"]:
            if value["of"][0] != "slice":
                continue
            place = (value["of"][1], value["of"][2], value["of"][3])
            if value["is"] is None:
                known.pop(place, None)
            else:
                told = {name: what for name, what in value["is"].items() if name != "packed"}
                known[place] = {**known.get(place, {}), **told}
    return known
