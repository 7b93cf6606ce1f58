"""What hypothesis needs to play with a session: a small scan, a quick predictor, and anything that a reader may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.predictors.obey import obey
from edgeflow_med.session import Overlap, SegmentState, Session
from edgeflow_med.volume import Plane, Volume

SHAPE = (7, 9, 11)


class Grower:
    """Bright pixels near the prompts, leaning on the previous probability and edge; any shape, a fraction of a ms.

    Unlike a threshold it shows in every answer what it was handed: an undo that forgot the edge would be seen.
    """

    name, version, device = "grower", "1", "cpu"

    def predict(self, request: SliceRequest) -> Prediction:
        bright = np.clip(ndimage.uniform_filter(request.image, 3), 0, 1)
        seeds = np.zeros(request.image.shape, np.float32)
        for stroke in request.strokes:
            for row, column in stroke.points:
                seeds[round(row), round(column)] = 1.0 if stroke.positive else -1.0
        near = ndimage.gaussian_filter(seeds, 2.0)
        near /= max(float(np.abs(near).max()), 1e-6)
        logit = 4 * bright - 2.2 + 2 * near
        if request.previous is not None:
            logit = logit + 3 * (request.previous.probability - 0.5) + 0.7 * request.previous.edge
        probability = (1 / (1 + np.exp(-logit))).astype(np.float32)
        if request.excluded is not None:
            probability[request.excluded] = 0.0
        probability = obey(probability, request.image, request.spacing, request.strokes)
        edge = np.hypot(*np.gradient(probability)).astype(np.float32)
        return Prediction(probability, np.clip(edge, 0, 1), float(probability.max()))


def scan(seed: int = 0) -> Volume:
    """An anisotropic MR volume of smooth blobs."""
    noise = np.random.default_rng(seed).normal(size=SHAPE)
    smooth = ndimage.gaussian_filter(noise, 1.2)
    affine = np.array([[0, 0, 0.8, -4], [0, 1.0, 0, -5], [2.5, 0, 0, 7], [0, 0, 0, 1]])
    return Volume((1000 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.int16), affine, "MR")


@dataclass(frozen=True)
class Action:
    """Something that a reader does: the name of a method and what it is given."""

    name: str
    given: tuple[Any, ...]


def _numbers(*limits: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*(st.integers(0, limit - 1) for limit in limits))


voxel = _numbers(*SHAPE)
planes = st.sampled_from(list(Plane))
which = st.integers(0, 2)
box3 = st.tuples(voxel, voxel)

ACTIONS: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {
    "add": st.one_of(st.just((None,)), st.tuples(box3)),
    "remove": st.tuples(which),
    "rename": st.tuples(which, st.sampled_from(["One", "Two", "Leber äöü"])),
    "lock": st.tuples(which, st.sampled_from([True, True, False])),
    "clear": st.tuples(which),
    "click": st.tuples(which, voxel, st.booleans(), planes),
    "stroke": st.tuples(which, voxel, voxel, st.booleans(), planes),
    "region": st.tuples(which, voxel, voxel, st.sampled_from(["box", "lasso", "line"]), planes),
    "paint": st.tuples(which, box3, st.booleans(), planes),
    "dab": st.tuples(which, voxel, voxel, st.booleans(), planes),
    "edit": st.tuples(which, box3, st.booleans()),
    "propagate": st.tuples(which, planes, st.sampled_from([None, 1, 3]), st.sampled_from([None, 1, 2])),
    "accept": st.tuples(which, planes, st.one_of(st.none(), st.integers(0, 6))),
    "flag": st.tuples(which, planes, st.integers(0, 6)),
    "delete_prompt": st.tuples(which, st.integers(0, 3)),
    "policy": st.tuples(st.sampled_from(list(Overlap))),
    "editable_region": st.tuples(st.one_of(st.none(), box3)),
    "editable_range": st.tuples(st.one_of(st.none(), st.just((200.0, 700.0)))),
    "undo": st.tuples(st.integers(1, 3)),
    "redo": st.tuples(st.integers(1, 3)),
    "switch": st.tuples(st.integers(0, 3)),
}
# Most of what is drawn should be what changes voxels.
_COMMON = (
    "click",
    "click",
    "click",
    "paint",
    "dab",
    "propagate",
    "propagate",
    "accept",
    "undo",
    "redo",
    "add",
    "policy",
)


def actions(least: int = 1, most: int = 14) -> st.SearchStrategy[list[Action]]:
    """A working day, short."""
    name = st.sampled_from([*ACTIONS, *_COMMON])
    action = name.flatmap(lambda chosen: ACTIONS[chosen].map(lambda given: Action(chosen, given)))
    return st.lists(action, min_size=least, max_size=most)


def box_mask(corners: tuple[tuple[int, ...], ...], shape: tuple[int, ...] = SHAPE) -> NDArray[np.bool_]:
    """The voxels of a box between two corners."""
    mask = np.zeros(shape, np.bool_)
    mask[tuple(slice(min(a, b), max(a, b) + 1) for a, b in zip(*corners, strict=True))] = True
    return mask


def play(session: Session, action: Action) -> None:
    """Do what an action says; errors that a reader would see are raised."""
    if action.name in ("add", "policy", "editable_range", "editable_region", "undo", "redo", "switch"):
        _play_on_session(session, action.name, *action.given)
    elif session.segments:
        which, *given = action.given
        _play_on_segment(session, action.name, session.segments[which % len(session.segments)], *given)


def _play_on_session(session: Session, name: str, given: Any) -> None:
    match name:
        case "add":
            label = f"Segment {len(session.segments) + 1}"
            session.add_segment(label, None if given is None else box_mask(given, session.volume.shape))
        case "policy" | "editable_range":
            setattr(session, name, given)
        case "editable_region":
            session.editable_region = None if given is None else box_mask(given, session.volume.shape)
        case "undo" | "redo":
            for _ in range(given):
                getattr(session, name)()
        case "switch":
            branches = session.branches()
            if branches:
                session.switch_branch(branches[given % len(branches)].number)


def _play_on_segment(  # noqa: C901, PLR0912 - one branch per thing that a reader may do
    session: Session, name: str, segment: SegmentState, *given: Any
) -> None:
    match name:
        case "remove" | "clear":
            getattr(session, f"{name}_segment")(segment)
        case "rename":
            session.rename_segment(segment, given[0])
        case "lock":
            session.lock(segment, given[0])
        case "click":
            session.click(given[0], given[1], segment, given[2])
        case "stroke" | "region" | "dab":
            _draw(session, name, segment, *given)
        case "paint":
            session.paint(box_mask(given[0], session.volume.shape), segment, given[1], given[2])
        case "edit":
            session.edit(box_mask(given[0], session.volume.shape), segment, "Threshold", hard=given[1])
        case "propagate":
            steps = session.propagate(segment, plane=given[0], limit=given[1])
            for count, _ in enumerate(steps, 1):
                if count == given[2]:
                    steps.close()  # type: ignore[attr-defined]
        case "accept":
            session.accept(given[1], segment, given[0])
        case "flag":
            session.flag(given[1], segment, given[0], comment="look here")
        case "delete_prompt":
            prompted = [(key, n) for key, known in sorted(segment.slices.items()) for n in range(len(known.prompts))]
            if prompted:
                (axis, index), number = prompted[given[0] % len(prompted)]
                plane = next(plane for plane in Plane if session.volume.axis(plane) == axis)
                session.delete_prompt(segment, plane, index, number)


def _draw(session: Session, name: str, segment: SegmentState, first: Any, other: Any, how: Any, plane: Plane) -> None:
    """A stroke, region or dab between two voxels, the second one moved to the slice of the first."""
    axis = session.volume.axis(plane)
    points = [first, tuple(first[a] if a == axis else v for a, v in enumerate(other))]
    match name, how:
        case "stroke", _:
            session.scribble(points, how, 2.0, segment, plane)
        case "dab", _:
            session.paint((points, 2.0), segment, how, plane)
        case _, "lasso":
            session.lasso([*points, first], segment, plane)
        case _:
            getattr(session, how)(*points, segment, plane)


def snapshot(session: Session) -> dict[str, Any]:
    """The whole state, comparable."""
    state = session._ledger.state
    return {
        "infos": dict(state.infos),
        "slices": {segment: dict(known) for segment, known in state.slices.items()},
        "options": {name: value for name, value in state.options.items() if value is not None},
        "masks": {segment: state.mask(segment).tobytes() for segment in state.ids},
        "fixed": {segment: state.fixed(segment).tobytes() for segment in state.ids},
    }
