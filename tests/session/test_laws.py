"""What holds for a session whatever a reader does, in whatever order."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeflow_med.errors import EdgeFlowError
from edgeflow_med.session import Overlap, Session, SliceStatus
from edgeflow_med.session.state import Fixed, plane_of
from edgeflow_med.volume import Volume
from tests.strategies import SHAPE, Action, Grower, actions, box_mask, play, scan, snapshot

TRAVEL = ("undo", "redo", "switch")
Voxels = dict[int, NDArray[np.generic]]


def session(**options: object) -> Session:
    return Session(scan(), Grower(), window="0,1000", journal=False, **options)  # type: ignore[arg-type]


def copies(session: Session) -> tuple[Voxels, Voxels]:
    """Mask and what is fixed, by segment."""
    state = session._ledger.state
    return {n: state.mask(n).copy() for n in state.ids}, {
        n: np.frombuffer(state.fixed(n).tobytes(), np.uint8).reshape(SHAPE) for n in state.ids
    }


def started(session: Session) -> Session:
    session.add_segment("One")
    session.add_segment("Two")
    session.click((3, 4, 5), segment=1)
    session.click((3, 6, 8), segment=2)
    return session


@given(actions())
@settings(max_examples=60)
def test_undo_then_redo_is_the_identity(day: list[Action]) -> None:
    at_work = started(session())
    for action in day:
        before, names = snapshot(at_work), at_work.history
        with suppress(EdgeFlowError):
            play(at_work, action)
        after = snapshot(at_work)
        if action.name in TRAVEL:
            continue
        if at_work.history != names:
            assert at_work.history[:-1] == names
            undone = at_work.undo()
            assert undone
            assert snapshot(at_work) == before
            redone = at_work.redo()
            assert redone
            assert redone.name == undone.name
        assert snapshot(at_work) == after
    end = snapshot(at_work)
    steps = len(at_work.history)
    while at_work.undo():
        pass
    assert snapshot(at_work) == {
        "infos": {},
        "slices": {},
        "options": snapshot(session())["options"],
        "masks": {},
        "fixed": {},
    }
    for _ in range(steps):
        assert at_work.redo()
    assert snapshot(at_work) == end


@given(actions())
@settings(max_examples=30)
def test_a_replayed_journal_gives_the_live_state(day: list[Action]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder) / "case"
        with started(Session(scan(), Grower(), window="0,1000", case_dir=case)) as live:
            for action in day:
                with suppress(EdgeFlowError):
                    play(live, action)
        with Session.resume(case, volume=scan()) as resumed:
            assert snapshot(resumed) == snapshot(live)
            assert resumed.history == live.history
            assert resumed.redo_names == live.redo_names
            assert resumed.branches() == live.branches()
            assert resumed.lost is None
            assert resumed.window == live.window


@given(actions(), st.tuples(*(st.integers(0, n - 1) for n in (7, 9, 11))), st.booleans())
@settings(max_examples=25)
def test_after_undo_the_next_click_gives_what_it_would_have_given(
    day: list[Action], voxel: tuple[int, int, int], positive: bool
) -> None:
    at_work = started(session())
    at_work.click(voxel, positive, 1)
    expected = snapshot(at_work)
    at_work.undo()
    for action in day:
        names = at_work.history
        if action.name not in TRAVEL:
            with suppress(EdgeFlowError):
                play(at_work, action)
        if at_work.history != names:
            at_work.undo()
    at_work.click(voxel, positive, 1)
    assert snapshot(at_work) == expected


@given(actions())
@settings(max_examples=60)
def test_locks_and_the_reader_win(day: list[Action]) -> None:
    at_work = started(session())
    for action in day:
        state = at_work._ledger.state
        (masks, fixed), locked = copies(at_work), {n for n in state.ids if state.infos[n].locked}
        region, policy = at_work.editable_region, at_work.policy
        with suppress(EdgeFlowError):
            play(at_work, action)
        after, fixed_after = copies(at_work)
        for number, mask in after.items():
            inside = np.isin(fixed_after[number], [Fixed.PROMPTED_IN, Fixed.PAINTED_IN])
            outside = np.isin(fixed_after[number], [Fixed.PROMPTED_OUT, Fixed.PAINTED_OUT])
            assert mask[inside].all()
            assert not mask[outside].any()
        if action.name in TRAVEL:
            continue
        for number in locked:
            np.testing.assert_array_equal(after[number], masks[number])
            np.testing.assert_array_equal(fixed_after[number], fixed[number])
        if action.name in ("region", "propagate", "accept", "flag", "lock", "policy", "rename"):
            for number in masks:
                np.testing.assert_array_equal(fixed_after[number], fixed[number])
        both = [n for n in after if n in masks]
        if region is not None and action.name not in ("remove", "delete_prompt"):
            for number in both:
                np.testing.assert_array_equal(after[number][~region], masks[number][~region])
        if policy is not Overlap.ALLOW:
            for number in both:
                gained = after[number] & ~masks[number]
                assert not any((gained & after[other]).any() for other in after if other != number)
        if policy is Overlap.KEEP_OTHERS and action.name in ("region", "propagate"):
            changed = [n for n in both if not np.array_equal(after[n], masks[n])]
            assert len(changed) <= 1  # the network never takes from a neighbour


@given(actions())
@settings(max_examples=60)
def test_anchors_never_change_under_propagation(day: list[Action]) -> None:
    at_work = started(session())
    for action in day:
        anchors = {
            (state.id, key): (known, plane_of(state.mask, key).copy())
            for state in at_work.segments
            for key, known in state.slices.items()
            if known.status is not SliceStatus.PROPOSED
        }
        with suppress(EdgeFlowError):
            play(at_work, action)
        if action.name == "propagate":
            for (number, key), (known, mask) in anchors.items():
                (state,) = (s for s in at_work.segments if s.id == number)
                assert state.slices[key] == known
                np.testing.assert_array_equal(plane_of(state.mask, key), mask)


@given(actions())
@settings(max_examples=25)
def test_every_click_is_obeyed_unless_locked(day: list[Action]) -> None:
    at_work = started(session())
    for action in day:
        with suppress(EdgeFlowError):
            play(at_work, action)
        if action.name != "click" or not at_work.segments:
            continue
        which, voxel, positive, _ = action.given
        segment = at_work.segments[which % len(at_work.segments)]
        change_refused = segment.locked or any(s.locked and s.mask[voxel] for s in at_work.segments)
        region, limits = at_work.editable_region, at_work.editable_range
        value = at_work.volume.array[voxel]
        if region is not None and not region[voxel]:
            change_refused = True
        if limits is not None and not limits[0] <= value <= limits[1]:
            change_refused = True
        if not change_refused:
            assert segment.mask[voxel] == positive


BY_HAND = ("add", "remove", "clear", "paint", "dab", "edit", "lock", "policy", "editable_region", "undo", "redo")


def mirrored(given: object, flips: tuple[bool, ...]) -> object:
    """What was given, with all voxel indices mirrored."""
    if isinstance(given, tuple) and len(given) == 3 and all(type(value) is int for value in given):
        return tuple(n - 1 - v if flip else v for v, n, flip in zip(given, SHAPE, flips, strict=True))
    if isinstance(given, tuple):
        return tuple(mirrored(part, flips) for part in given)
    return given


@given(actions(4).map(lambda day: [a for a in day if a.name in BY_HAND]), st.tuples(*[st.booleans()] * 3))
@settings(max_examples=40)
def test_a_mirrored_volume_gives_mirrored_masks(day: list[Action], flips: tuple[bool, ...]) -> None:
    axes = [axis for axis, flip in enumerate(flips) if flip]
    volume = scan()
    affine = volume.affine.copy()
    for axis in axes:
        affine[:, 3] += affine[:, axis] * (SHAPE[axis] - 1)
        affine[:, axis] *= -1
    turned = Volume(np.flip(volume.array, axes), affine, "MR")
    both = [Session(v, None, window="0,1000", journal=False) for v in (volume, turned)]
    for at_work, turn in zip(both, (lambda given: given, lambda given: mirrored(given, flips)), strict=True):
        at_work.add_segment("One", box_mask(turn(((2, 2, 2), (4, 6, 5)))))
        for action in day:
            with suppress(EdgeFlowError):
                play(at_work, Action(action.name, turn(action.given)))
    one, other = both
    assert one.history == other.history
    for here, there in zip(one.segments, other.segments, strict=True):
        np.testing.assert_array_equal(np.flip(here.mask, axes), there.mask)
