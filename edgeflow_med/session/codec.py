"""Steps as JSON values, and back."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from edgeflow_med.prompts import parse_prompt, to_document
from edgeflow_med.segmentation import AlgorithmType, Code
from edgeflow_med.session.changes import Assign, Key, Layer, PackedMask, PackedPrediction, Patch, Step
from edgeflow_med.session.state import Origin, Overlap, SegmentInfo, SliceState, SliceStatus, State
from edgeflow_med.volume import Plane
from edgeflow_med.windows import Window

Document = dict[str, Any]


def encode_step(step: Step) -> Document:
    """A step as JSON values; of changed values only what differs is told, the state before is known when it is read."""
    return {
        "name": step.name,
        "kind": step.kind,
        "milliseconds": round(step.seconds * 1000, 1),
        "values": [_encode_assign(assign) for assign in step.assigns],
        "patches": [_encode_patch(patch) for patch in step.patches],
    }


def decode_step(document: Document, state: State) -> Step:
    """The inverse of :func:`encode_step`; ``state`` is the one that the step starts from."""
    return Step(
        document["name"],
        document["kind"],
        tuple(_decode_patch(patch) for patch in document["patches"]),
        tuple(_decode_assign(assign, state) for assign in document["values"]),
        document["milliseconds"] / 1000,
    )


def _encode_patch(patch: Patch) -> Document:
    return {
        "segment": patch.segment,
        "layer": patch.layer.value,
        "axis": patch.axis,
        "slice": patch.index,
        "corner": list(patch.corner),
        "size": list(patch.size),
        "data": _text(patch.data),
    }


def _decode_patch(document: Document) -> Patch:
    return Patch(
        document["segment"],
        Layer(document["layer"]),
        document["axis"],
        document["slice"],
        _pair(document["corner"]),
        _pair(document["size"]),
        _bytes(document["data"]),
    )


def _encode_assign(assign: Assign) -> Document:
    value = assign.after
    if isinstance(value, SegmentInfo):
        value = encode_info(value)
    elif isinstance(value, SliceState):
        value = _encode_slice(value, assign.before if isinstance(assign.before, SliceState) else None)
    elif assign.key[0] == "option":
        value = encode_option(value)
    return {"of": list(assign.key), "is": value}


def _decode_assign(document: Document, state: State) -> Assign:
    key: Key = tuple(document["of"])
    value = document["is"]
    match key:
        case ("info", int(segment)):
            return Assign(key, state.infos.get(segment), value and decode_info(value))
        case ("slice", int(segment), int(axis), int(index)):
            before = state.slices.get(segment, {}).get((axis, index))
            return Assign(key, before, None if value is None else _decode_slice(value, before))
        case ("option", str(name)):
            return Assign(key, state.options.get(name), decode_option(name, value))
    raise ValueError(f"unknown value {key!r}")


def encode_info(info: SegmentInfo) -> Document:
    """All that is said about a segment."""
    return {
        "label": info.label,
        "colour": list(info.colour),
        "category": [info.category.value, info.category.scheme, info.category.meaning],
        "type": [info.type.value, info.type.scheme, info.type.meaning],
        "tracking_uid": info.tracking_uid,
        "locked": info.locked,
        "origins": sorted(info.origins),
        "imported_type": info.imported_type.value,
        "model": list(info.model),
        "tracking_id": info.tracking_id,
        "region": [info.region.value, info.region.scheme, info.region.meaning] if info.region else None,
    }


def decode_info(document: Document) -> SegmentInfo:
    """The inverse of :func:`encode_info`."""
    red, green, blue = document["colour"]
    name, version = document["model"]
    return SegmentInfo(
        document["label"],
        (red, green, blue),
        Code(*document["category"]),
        Code(*document["type"]),
        document["tracking_uid"],
        document["locked"],
        frozenset(Origin(origin) for origin in document["origins"]),
        AlgorithmType(document["imported_type"]),
        (name, version),
        document.get("tracking_id", ""),
        Code(*document["region"]) if document.get("region") else None,
    )


def encode_option(value: object) -> object:
    """A value that holds for the whole session."""
    if isinstance(value, Window):
        return {"name": value.name, "low": value.low, "high": value.high}
    if isinstance(value, PackedMask):
        return {"shape": list(value.shape), "data": _text(value.data)}
    return list(value) if isinstance(value, tuple) else value


def decode_option(name: str, value: Any) -> object:
    """The inverse of :func:`encode_option` for the option of this name."""
    if value is None:
        return None
    match name:
        case "policy":
            return Overlap(value)
        case "plane":
            return Plane(value)
        case "window":
            return Window(value["name"], value["low"], value["high"])
        case "editable_region":
            k, j, i = value["shape"]
            return PackedMask((k, j, i), _bytes(value["data"]))
        case "editable_range":
            return (float(value[0]), float(value[1]))
    raise ValueError(f"unknown option {name!r}")


def _encode_slice(after: SliceState, before: SliceState | None) -> Document:
    document: Document = {}
    for name in ("status", "prompts", "packed", "quality", "flagged", "comment", "edited"):
        value = getattr(after, name)
        if before is None or value != getattr(before, name):
            document[name] = value
    if "prompts" in document:
        document["prompts"] = [to_document(prompt) for prompt in after.prompts]
    if document.get("packed") is not None:
        document["packed"] = _encode_answer(document["packed"])
    return document


def _decode_slice(document: Document, before: SliceState | None) -> SliceState:
    values = dict(document)
    if "status" in values:
        values["status"] = SliceStatus(values["status"])
    if "prompts" in values:
        values["prompts"] = tuple(parse_prompt(prompt) for prompt in values["prompts"])
    if values.get("packed") is not None:
        values["packed"] = _decode_answer(values["packed"])
    return SliceState(**values) if before is None else replace(before, **values)


def _encode_answer(packed: PackedPrediction) -> Document:
    return {
        "shape": list(packed.shape),
        "corner": list(packed.corner),
        "size": list(packed.size),
        "quality": packed.quality,
        "data": _text(packed.data),
    }


def _decode_answer(document: Document) -> PackedPrediction:
    shape, corner, size = (_pair(document[name]) for name in ("shape", "corner", "size"))
    return PackedPrediction(shape, corner, size, _bytes(document["data"]), document["quality"])


def _pair(values: list[int]) -> tuple[int, int]:
    first, second = values
    return first, second


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
