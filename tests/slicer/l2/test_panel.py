"""The panel as a reader uses it: mouse and keys on the window, pixels in the views, and the real scene behind them."""

from __future__ import annotations

import threading
import types
from pathlib import Path

import numpy as np
import pytest
import slicer
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QPalette, QWheelEvent

from tests.slicer import headless
from tests.slicer.l1.bench import ball
from tests.slicer.l2.hand import rest, show, until
from tests.slicer.l2.reader import BALL, CENTRE, GRID, Reader, Slow, world


def test_a_click_outlines_the_lesion_in_all_views(reader: Reader) -> None:
    assert not any(reader.painted(12, 33, 43, name=name) for name in ("Red", "Green", "Yellow"))
    mask = reader.clicked(*CENTRE)
    assert (mask[12] == BALL[12]).mean() > 0.99
    assert mask.sum() == mask[12].sum()
    until(lambda: reader.painted(12, 33, 43, name="Red"))
    until(lambda: reader.painted(12, 33, 40, name="Yellow"))
    until(lambda: reader.painted(12, 30, 43, name="Green"))


def test_ctrl_click_takes_away(reader: Reader) -> None:
    assert reader.clicked(*CENTRE)[12, 30, 44]
    assert not reader.clicked(12, 30, 44, ctrl=True)[12, 30, 44]


def test_the_sign_button_and_its_key_turn_clicks_round(reader: Reader) -> None:
    reader.clicked(*CENTRE)
    reader.key(Qt.Key.Key_T)
    until(lambda: reader.ui.signButton.checked and reader.ui.signButton.text == "Remove")
    assert not reader.clicked(12, 30, 44)[12, 30, 44]
    reader.press(reader.ui.signButton)
    until(lambda: not reader.ui.signButton.checked and reader.ui.signButton.text == "Add")


def test_a_drag_scribbles(reader: Reader) -> None:
    reader.drag([world(12, 26, i) for i in range(34, 47, 2)])
    until(lambda: reader.mask().any())
    assert reader.mask()[12, 26, 34:47].all()


def test_a_click_in_another_view_answers_in_its_plane(reader: Reader) -> None:
    mask = reader.clicked(*CENTRE, name="Green")
    assert np.argwhere(mask)[:, 1].tolist() == [30] * mask.sum()


def test_undo_and_redo_by_keys_and_buttons(reader: Reader) -> None:
    mask = reader.clicked(*CENTRE)
    reader.key(Qt.Key.Key_Z, ctrl=True)
    until(lambda: not reader.mask().any())
    until(lambda: not reader.painted(12, 33, 43))
    reader.key(Qt.Key.Key_Y, ctrl=True)
    until(lambda: (reader.mask() == mask).all())
    reader.press(reader.ui.undoButton)
    until(lambda: not reader.mask().any())
    until(lambda: reader.ui.redoButton.enabled)
    reader.press(reader.ui.redoButton)
    until(lambda: (reader.mask() == mask).all())


def test_keys_for_segments(reader: Reader) -> None:
    reader.clicked(*CENTRE)
    reader.key(Qt.Key.Key_V)
    until(lambda: not reader.painted(12, 33, 43))
    reader.key(Qt.Key.Key_V)
    until(lambda: reader.painted(12, 33, 43))
    reader.key(Qt.Key.Key_E)
    until(lambda: reader.count() == 2)
    until(lambda: reader.ui.segmentsTable.tableWidget().rowCount == 2)
    reader.ui.segmentsTable.setSelectedSegmentIDs([reader.node().GetSegmentation().GetNthSegmentID(0)])
    reader.key(Qt.Key.Key_R)
    until(lambda: not reader.mask().any())


def test_the_current_segment_is_removed(reader: Reader) -> None:
    reader.clicked(*CENTRE)
    reader.press(reader.ui.removeSegmentButton)
    until(lambda: reader.count() == 0)
    rest()
    assert reader.count() == 0
    reader.key(Qt.Key.Key_Z, ctrl=True)
    until(lambda: reader.mask().any())


def test_a_locked_segment_is_left_alone_by_its_neighbour(reader: Reader) -> None:
    first = reader.clicked(*CENTRE)
    reader.press(reader.ui.lockButton)
    reader.press(reader.ui.newSegmentButton)
    until(lambda: reader.count() == 2)
    reader.click(world(12, 33, 43))
    rest()
    assert (reader.mask(0) == first).all()
    assert not (reader.mask(1) & first).any()


def test_escape_frees_the_mouse_and_the_button_takes_it_again(reader: Reader, network: Slow) -> None:
    reader.key(Qt.Key.Key_Escape)
    until(lambda: not reader.ui.armButton.checked)
    rest()
    asked = network.requests
    reader.click(world(*CENTRE))
    rest()
    assert network.requests == asked
    assert not reader.mask().any()
    reader.press(reader.ui.armButton)
    until(lambda: reader.panel.case.views.armed)
    assert reader.clicked(*CENTRE).any()


@pytest.mark.parametrize("background", ["#f0f0f0", "#323232"])
def test_whether_the_mouse_is_ours_is_seen(reader: Reader, background: str) -> None:
    before, button, shown = slicer.app.palette(), reader.ui.armButton, {}
    slicer.app.setPalette(QPalette(QColor(background)))
    for armed in (True, False):
        button.checked = armed
        rest()
        shown[armed] = button.grab().toImage().pixelColor(4, button.height // 2)
    slicer.app.setPalette(before)
    assert abs(shown[True].hslSaturation() - shown[False].hslSaturation()) > 80


def test_the_wheel_still_browses_slices(reader: Reader) -> None:
    view, node = reader.view("Red"), slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    before, place = node.GetSliceOffset(), reader.at("Red", world(*CENTRE))
    event = QWheelEvent(
        QPointF(place),
        QPointF(view.mapToGlobal(place)),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    slicer.app.sendEvent(view, event)
    assert node.GetSliceOffset() != before


def test_propagate_review_and_accept(reader: Reader) -> None:
    reader.clicked(*CENTRE)
    bar = reader.ui.reviewSlider.styleSheet
    reader.press(reader.ui.propagateBothButton)
    until(lambda: reader.mask().any((1, 2)).sum() >= 7)
    until(lambda: not reader.ui.stopButton.enabled)
    overlap = 2 * (reader.mask() & BALL).sum() / (reader.mask().sum() + BALL.sum())
    assert overlap > 0.9
    until(lambda: reader.ui.reviewSlider.styleSheet != bar)
    assert " 0 slices" not in reader.ui.reviewLabel.text
    reader.press(reader.ui.nextButton)
    reader.key(Qt.Key.Key_Space)
    reader.press(reader.ui.acceptAllButton)
    until(lambda: ">0 slices" in reader.ui.reviewLabel.text)
    reader.key(Qt.Key.Key_Z, ctrl=True)


def test_measurements_follow(reader: Reader) -> None:
    reader.clicked(*CENTRE)
    until(lambda: "ml" in reader.ui.measureLabel.text)


def test_the_window_stays_alive_while_the_network_thinks(reader: Reader, network: Slow) -> None:
    network.gate.clear()
    reader.click(world(*CENTRE))
    until(lambda: network.thread)
    assert network.thread is not threading.main_thread()
    for _ in range(5):
        slicer.app.processEvents()
    assert not reader.mask().any()
    network.gate.set()
    until(lambda: reader.mask().any())


def test_leaving_the_module_frees_mouse_and_keys(reader: Reader) -> None:
    mask = reader.clicked(*CENTRE)
    reader.panel.exit()
    reader.key(Qt.Key.Key_Z, ctrl=True)
    reader.click(world(12, 5, 5))
    rest()
    assert (reader.mask() == mask).all()
    reader.panel.enter()
    reader.key(Qt.Key.Key_Z, ctrl=True)
    until(lambda: not reader.mask().any())


def test_closing_the_scene_closes_the_case_and_a_new_volume_opens_one(reader: Reader, network: Slow) -> None:
    network.gate.clear()
    reader.click(world(*CENTRE))
    until(lambda: network.thread)
    slicer.mrmlScene.Clear(0)
    until(lambda: reader.panel.case is None)
    network.gate.set()
    rest()
    assert not reader.ui.undoButton.enabled
    reader.volume = headless.volume_node(ball(), GRID)
    show(reader.volume)
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *world(*CENTRE))
    reader.ui.volumeSelector.setCurrentNode(reader.volume)
    until(lambda: reader.panel.case is not None)
    assert reader.clicked(*CENTRE).any()


def test_not_for_clinical_use_is_seen(reader: Reader) -> None:
    assert "not for clinical use" in reader.ui.notClinicalLabel.text
    assert reader.ui.notClinicalLabel.visible


def test_propagation_is_stopped(reader: Reader, network: Slow) -> None:
    reader.clicked(*CENTRE)
    network.gate.clear()
    reader.press(reader.ui.propagateBothButton)
    until(lambda: reader.ui.stopButton.enabled)
    assert reader.ui.progressBar.visible
    reader.press(reader.ui.stopButton)
    until(lambda: not reader.ui.stopButton.enabled)
    assert reader.ui.statusLabel.text.startswith("Propagation stopped")
    network.gate.set()
    rest()
    assert reader.mask().any((1, 2)).sum() == 1


def test_surfaces_come_on_request_and_go_with_the_next_change(reader: Reader) -> None:
    reader.clicked(*CENTRE)
    reader.press(reader.ui.show3DButton)
    assert reader.panel.case.scene.in_3d
    reader.clicked(12, 24, 40, ctrl=True)
    until(lambda: not reader.ui.show3DButton.checked)
    assert not reader.panel.case.scene.in_3d


def test_the_slice_in_view_is_told(reader: Reader) -> None:
    until(lambda: reader.ui.sliceLabel.text == "axial 12")
    reader.clicked(*CENTRE, name="Yellow")
    until(lambda: reader.ui.sliceLabel.text == "sagittal 40")


def test_both_tables_of_segments_select_the_same_one(reader: Reader) -> None:
    """What is painted goes to the segment that is clicked for."""
    reader.clicked(*CENTRE)
    reader.key(Qt.Key.Key_E)
    until(lambda: reader.count() == 2)
    first, second = reader.node().GetSegmentation().GetSegmentIDs()
    until(lambda: reader.ui.segmentEditor.currentSegmentID() == second)
    reader.ui.segmentEditor.setCurrentSegmentID(first)
    assert reader.ui.segmentsTable.selectedSegmentIDs() == (first,)
    assert reader.panel.case.desk.current.label == "Lesion"


def test_what_is_painted_is_a_step_and_stays(reader: Reader) -> None:
    """The stand-in for the editor has Slicer's node and no brush: the voxels are set as a brush sets them."""
    reader.clicked(*CENTRE)
    reader.ui.segmentEditor.setActiveEffectByName("Paint")
    mask = reader.mask()
    mask[12, 50:54, 60:64] = True
    identifier = reader.node().GetSegmentation().GetNthSegmentID(0)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), reader.node(), identifier, reader.volume)
    until(lambda: reader.ui.undoButton.toolTip == "Paint")
    reader.press(reader.ui.armButton)  # up
    reader.press(reader.ui.armButton)  # and down: the mouse is ours again, and the brush is put away
    until(lambda: reader.ui.segmentEditor.activeEffect() is None and reader.panel.case.views.armed)
    assert reader.clicked(12, 24, 40, ctrl=True)[12, 50:54, 60:64].all()


@pytest.mark.usefixtures("hand", "network")
def test_the_volume_in_view_is_taken_and_no_label_map(request: pytest.FixtureRequest) -> None:
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "A label map")
    assert labels.IsA("vtkMRMLScalarVolumeNode")
    headless.volume_node(ball(), GRID, "Another CT")
    shown = headless.volume_node(ball(), GRID)
    show(shown)
    panel = request.getfixturevalue("panel")
    assert panel.ui.volumeSelector.currentNode() is shown
    until(lambda: panel.case is not None)


def test_a_volume_without_voxels_is_told(reader: Reader) -> None:
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    reader.ui.segmentationSelector.setCurrentNode(None)
    reader.ui.volumeSelector.setCurrentNode(empty)
    assert reader.panel.case is None
    assert reader.ui.statusLabel.text == "This volume is empty; choose another."


def test_removing_the_volume_closes_its_case(reader: Reader) -> None:
    reader.clicked(*CENTRE)
    slicer.mrmlScene.RemoveNode(reader.volume)
    until(lambda: reader.panel.case is None)
    assert not reader.ui.undoButton.enabled
    rest()


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize(("background", "icon"), [("#f0f0f0", None), ("#323232", "EdgeFlow-dark.svg")])
def test_the_icon_suits_the_theme(monkeypatch: pytest.MonkeyPatch, background: str, icon: str | None) -> None:
    import EdgeFlow
    import qt

    before, palette = slicer.app.palette(), qt.QPalette()
    palette.setColor(qt.QPalette.Window, qt.QColor(background))
    monkeypatch.setattr(qt, "QIcon", lambda path: path)  # which cannot be asked for its file
    path = Path(EdgeFlow.__file__)
    info = types.SimpleNamespace(path=str(path), icon=None)
    slicer.app.setPalette(palette)
    EdgeFlow.EdgeFlow(info)
    slicer.app.setPalette(before)
    assert info.icon == (icon and str(path.parent / "Resources" / "Icons" / icon))
