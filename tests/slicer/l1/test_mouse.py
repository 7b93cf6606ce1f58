"""Mouse events on the interactor of a real slice view, through to pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import slicer
import vtk

from tests.slicer.headless import SliceView
from tests.slicer.l1.bench import Reader, ball

BALL = ball() > 0
MIDDLE = (12, 30, 40)


def actors(view: SliceView) -> list[vtk.vtkActor2D]:
    """Drawings in a view that belong to no displayable manager."""
    props = view.renderer.GetViewProps()
    found = [props.GetItemAsObject(number) for number in range(props.GetNumberOfItems())]
    return [prop for prop in found if type(prop) is vtk.vtkActor2D and prop.GetProperty().GetLineWidth() == 2]


def test_a_click_is_seen_in_all_views(reader: Callable[..., Reader]) -> None:
    desk = reader(names=("Red", "Green", "Yellow"))
    desk.look_at(*MIDDLE)
    assert not desk.painted(12, 33, 43)
    desk.click(*MIDDLE)
    np.testing.assert_array_equal(desk.mask()[12], BALL[12])
    assert desk.mask().sum() == BALL[12].sum()
    assert desk.painted(12, 33, 43)
    assert not desk.painted(12, 33, 55)
    assert desk.painted(12, 30, 43, view="Green")
    assert not desk.painted(10, 30, 43, view="Green")
    assert desk.painted(12, 33, 40, view="Yellow")


@pytest.mark.parametrize(("name", "axis"), [("Green", 1), ("Yellow", 2)])
def test_each_view_asks_about_its_own_plane(reader: Callable[..., Reader], name: str, axis: int) -> None:
    desk = reader(names=(name,))
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE, view=name)
    slices = np.flatnonzero(desk.mask().any(tuple(a for a in range(3) if a != axis)))
    assert slices.tolist() == [MIDDLE[axis]]
    assert list(desk.case.desk.current.slices) == [(axis, MIDDLE[axis])]
    assert {"Green": "coronal", "Yellow": "sagittal"}[name] in desk.told[-1]


def test_ctrl_and_the_sign_turn_a_click_round(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    desk.click(12, 24, 40, ctrl=True)
    assert not desk.mask()[12, 24, 40]
    assert desk.mask()[12, 30, 40]
    desk.case.desk.positive = False
    desk.click(12, 36, 40)
    assert not desk.mask()[12, 36, 40]
    desk.click(12, 36, 40 + 20, ctrl=True)
    signs = [prompt.positive for prompt in desk.case.desk.current.slices[0, 12].prompts]
    assert signs == [True, False, False, True]


def test_a_drag_is_a_stroke_and_leaves_no_trail(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.drag((12, 28, 36), (12, 30, 40), (12, 30, 44))
    (prompt,) = desk.case.desk.current.slices[0, 12].prompts
    assert type(prompt).__name__ == "Scribble"
    np.testing.assert_allclose(prompt.points[0], (12, 28, 36), atol=0.3)
    np.testing.assert_allclose(prompt.points[-1], (12, 30, 44), atol=0.3)
    np.testing.assert_array_equal(desk.mask()[12], BALL[12])
    assert not any(isinstance(prop.GetMapper(), vtk.vtkPolyDataMapper2D) for prop in actors(desk.red))
    desk.drag((12, 24, 34), (12, 24, 46), ctrl=True)
    assert not desk.mask()[12, 24, 35:46].any()


@pytest.mark.parametrize(("positive", "channel"), [(True, 1), (False, 0)])
def test_the_trail_is_drawn_while_the_mouse_moves(reader: Callable[..., Reader], positive: bool, channel: int) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.case.desk.positive = positive
    desk.settle()
    start, end = (desk.red.xy(desk.world(12, 50, i)) for i in (10, 60))
    for event, at in (("LeftButtonPressEvent", start), ("MouseMoveEvent", end)):
        desk.red.event(event, at)
    middle = desk.red.pixel(desk.red.render(), desk.world(12, 50, 35)).astype(int)
    assert middle[channel] > 180 > middle[1 - channel]
    desk.red.event("LeftButtonReleaseEvent", end)
    desk.settle()


@pytest.mark.parametrize("tool", ["Lasso", "Box", "Line"])
def test_other_tools(reader: Callable[..., Reader], tool: str) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.case.desk.tool = tool
    desk.drag((12, 20, 30), (12, 20, 50), (12, 40, 50))
    (prompt,) = desk.case.desk.current.slices[0, 12].prompts
    assert type(prompt).__name__ == tool


def test_a_double_click_is_two_clicks(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    at = desk.red.xy(desk.world(12, 26, 40))
    for event in ("LeftButtonPressEvent", "LeftButtonDoubleClickEvent", "LeftButtonReleaseEvent"):
        desk.red.event(event, at)
    desk.settle()
    assert len(desk.case.desk.current.slices[0, 12].prompts) == 2


def test_disarmed_or_in_another_mode_the_mouse_is_slicers(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    mode = slicer.app.applicationLogic().GetInteractionNode()
    desk.case.views.armed = False
    desk.click(*MIDDLE)
    desk.case.views.armed = True
    mode.SetCurrentInteractionMode(mode.AdjustWindowLevel)
    desk.click(*MIDDLE)
    mode.SetCurrentInteractionMode(mode.ViewTransform)
    at = desk.red.xy(desk.world(*MIDDLE))
    desk.red.click(at, shift=True)
    assert desk.case.session.segments == ()


def test_window_level_drag_still_works_in_its_mode(reader: Callable[..., Reader]) -> None:
    desk = reader()
    display = desk.volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(200, 0)
    mode = slicer.app.applicationLogic().GetInteractionNode()
    mode.SetCurrentInteractionMode(mode.AdjustWindowLevel)
    desk.drag((12, 20, 20), (12, 30, 50), (12, 40, 60))
    mode.SetCurrentInteractionMode(mode.ViewTransform)
    assert (display.GetWindow(), display.GetLevel()) != (200, 0)
    assert desk.case.session.segments == ()


def test_placing_keeps_its_clicks(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    points.CreateDefaultDisplayNodes()
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    selection.SetActivePlaceNodeID(points.GetID())
    mode = slicer.app.applicationLogic().GetInteractionNode()
    mode.SetCurrentInteractionMode(mode.Place)
    desk.click(12, 40, 50)
    mode.SetCurrentInteractionMode(mode.ViewTransform)
    assert points.GetNumberOfDefinedControlPoints() == 1
    np.testing.assert_allclose(points.GetNthControlPointPosition(0), desk.world(12, 40, 50), atol=0.5)
    assert desk.case.session.segments == ()


@pytest.mark.parametrize(("button", "shift"), [("Middle", False), ("Left", True)])
def test_panning_still_moves_the_view(reader: Callable[..., Reader], button: str, shift: bool) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    before = np.array(desk.red.node.GetXYZOrigin())
    centre = slicer.util.arrayFromVTKMatrix(desk.red.node.GetSliceToRAS())[:2, 3].copy()
    for event, at in ((f"{button}ButtonPressEvent", (200, 200)), ("MouseMoveEvent", (230, 200))):
        desk.red.event(event, at, shift=shift)
    desk.red.event(f"{button}ButtonReleaseEvent", (230, 200), shift=shift)
    after = slicer.util.arrayFromVTKMatrix(desk.red.node.GetSliceToRAS())[:2, 3]
    assert np.abs(after - centre).max() + np.abs(np.array(desk.red.node.GetXYZOrigin()) - before).max() > 1
    assert desk.case.session.segments == ()


def test_wheel_and_right_button_still_move_the_view(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    offset, field = desk.red.node.GetSliceOffset(), desk.red.node.GetFieldOfView()[0]
    desk.red.event("MouseWheelForwardEvent", (200, 200))
    assert desk.red.node.GetSliceOffset() == pytest.approx(offset + 2.0)
    for event, at in (
        ("RightButtonPressEvent", (200, 200)),
        ("MouseMoveEvent", (200, 260)),
        ("RightButtonReleaseEvent", (200, 260)),
    ):
        desk.red.event(event, at)
    assert desk.red.node.GetFieldOfView()[0] != pytest.approx(field)
    assert desk.case.session.segments == ()


def test_a_click_beside_the_volume_is_told(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(12, -3, 40)
    assert "lies outside the volume" in desk.told[-1]
    assert desk.case.session.segments == ()


def test_a_prompt_is_selected_by_a_click_and_deleted(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    desk.click(12, 24, 40, ctrl=True)
    desk.click(12, 24, 40)
    assert desk.case.desk.selected == (1, (0, 12), 1)
    assert desk.told[-1] == "Prompt selected; Delete takes it back."
    desk.case.desk.delete_prompt()
    desk.settle()
    np.testing.assert_array_equal(desk.mask()[12], BALL[12])
    assert len(desk.case.desk.current.slices[0, 12].prompts) == 1


def test_prompts_are_drawn_where_they_are(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    desk.click(12, 50, 20, ctrl=True)
    image = desk.red.render()
    for index, channel in ((MIDDLE, 1), ((12, 50, 20), 0)):
        x, y = desk.red.xy(desk.world(*index))
        patch = image[desk.red.size[1] - 1 - y + np.arange(-5, 6)[:, None], x + np.arange(-5, 6)].astype(int)
        others = [c for c in range(3) if c != channel]
        assert (patch[..., channel] - patch[..., others].max(-1) > 50).sum() > 20, index
