"""What the reader's mouse and buttons do: the current segment, drawn prompts, propagation, review."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow_med.errors import PromptError, UsageError
from edgeflow_med.gui.desk import drawn_prompt, export_name
from edgeflow_med.prompts import Box, Click, Lasso, Line, Scribble
from edgeflow_med.session import SliceStatus
from edgeflow_med.volume import Plane
from tests.gui.seat import DISK, VOLUME, Seat


def test_the_first_click_makes_a_segment(seat: Seat) -> None:
    assert seat.desk.current is None
    seat.click(4, 20, 24)
    assert [state.label for state in seat.session.segments] == ["Lesion"]
    np.testing.assert_array_equal(seat.desk.current.mask[4], DISK)
    seat.click(4, 14, 24, inverted=True)
    assert not seat.desk.current.mask[4, 14, 24]


def test_the_current_segment_is_one_that_exists(seat: Seat) -> None:
    first, second = seat.desk.add_segment(), seat.desk.add_segment()
    assert (first.label, second.label) == ("Lesion", "Lesion 2")
    assert seat.desk.current is second
    seat.desk.remove_segment()
    assert seat.desk.current is first
    seat.desk.remove_segment()
    assert seat.desk.current is None
    for action in (seat.desk.clear_segment, seat.desk.propagate_up, seat.desk.accept_all, seat.desk.delete_prompt):
        with pytest.raises(UsageError):
            action()


def test_locks_and_clears(seat: Seat) -> None:
    seat.click(4, 20, 24)
    seat.desk.toggle_lock()
    with pytest.raises(UsageError, match="is locked"):
        seat.desk.clear_segment()
    seat.desk.toggle_lock()
    seat.desk.clear_segment()
    assert not seat.desk.current.mask.any()


def test_a_selected_prompt_is_deleted(seat: Seat) -> None:
    seat.click(4, 20, 24)
    seat.desk.selected = (1, (0, 4), 0)
    seat.desk.delete_prompt()
    assert not seat.desk.current.mask.any()


def test_propagation_keeps_to_direction_and_limit(seat: Seat) -> None:
    seat.click(4, 20, 24)
    seat.desk.limit = 1
    seat.do(seat.desk.propagate_up)
    assert np.flatnonzero(seat.desk.current.mask.any((1, 2))).tolist() == [4, 5]
    seat.desk.limit = 0
    seat.do(seat.desk.propagate_down)
    assert np.flatnonzero(seat.desk.current.mask.any((1, 2))).tolist() == [1, 2, 3, 4, 5]
    seat.do(seat.desk.propagate_both)
    assert np.flatnonzero(seat.desk.current.mask.any((1, 2))).tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_review_walks_through_all_proposed_slices(seat: Seat) -> None:
    seat.click(4, 20, 24)
    seat.do(seat.desk.propagate_both)
    seat.desk.next_to_review()
    seen = []
    while seat.desk.current.proposed:
        seen.append(round(seat.view[0]))
        seat.desk.accept_slice()
    assert sorted(seen) == [1, 2, 3, 5, 6, 7]
    assert seat.told[-1] == "Nothing is left to review."
    assert seat.view[1:] == [20.0, 24.0]
    assert {known.status for known in seat.desk.current.slices.values()} == {
        SliceStatus.ANNOTATED,
        SliceStatus.ACCEPTED,
    }


def test_drawn_prompts_stay_on_the_slice_where_they_began() -> None:
    path = [(4.2, 10.0, 10.0), (4.9, 20.0, 60.0), (6.0, 30.0, 20.0)]
    flat = ((4.0, 10.0, 10.0), (4.0, 20.0, 47.0), (4.0, 30.0, 20.0))
    assert drawn_prompt("Scribble", path, VOLUME, Plane.AXIAL, False, 2.0) == Scribble(flat, False, 2.0)
    assert drawn_prompt("Lasso", path, VOLUME, Plane.AXIAL) == Lasso(flat)
    assert drawn_prompt("Box", path, VOLUME, Plane.AXIAL) == Box(flat[0], flat[2])
    assert drawn_prompt("Line", path, VOLUME, Plane.AXIAL) == Line(flat[0], flat[2])
    assert drawn_prompt("Lasso", path[:1], VOLUME, Plane.AXIAL) == Click((4, 10, 10))


def test_drawing_begins_inside_the_volume() -> None:
    with pytest.raises(PromptError, match=r"Point \(-1, 3, 3\) lies outside the volume"):
        drawn_prompt("Scribble", [(-0.6, 3, 3), (2, 3, 3)], VOLUME, Plane.AXIAL)


def test_no_title_is_too_odd_for_a_file() -> None:
    assert export_name('3: Thorax 1.0/B30f "lung"', 2) == "3_ Thorax 1.0_B30f _lung_.nii.gz"
    assert export_name("CT", 0) == export_name("CT", 1) == "CT.dcm"
    assert export_name("CT", 3) == "CT.seg.nrrd"


def test_choices_are_taken_over(seat: Seat) -> None:
    seat.desk.take(2, 4.5, 7)
    assert (seat.desk.tool, seat.desk.width_mm, seat.desk.limit) == ("Box", 4.5, 7)
    seat.desk.change_sign()
    seat.click(4, 20, 24)
    assert [prompt.positive for prompt in seat.desk.current.slices[0, 4].prompts] == [False]
    seat.desk.change_sign()
    assert seat.desk.positive


def test_a_model_is_loaded_and_a_window_set_only_if_it_is_another(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[str, ...]] = []
    monkeypatch.setattr(seat.desk, "set_model", lambda *chosen: loaded.append(chosen))
    seat.desk.model = ("w18", "cpu")
    seat.desk.choose("w18", "cpu", "")
    assert (loaded, seat.session.history) == ([], ())
    seat.desk.choose("w18", "cuda", seat.session.window.name, "A new case.")
    assert (loaded, seat.session.history) == ([("w18", "cuda", "A new case.")], ())
    seat.desk.choose("w18", "cpu", "10,20")
    assert (seat.session.window.low, seat.session.window.high) == (10, 20)
    with pytest.raises(UsageError):
        seat.desk.choose("w18", "cpu", "no such window")
