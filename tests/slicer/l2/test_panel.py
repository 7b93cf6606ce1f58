"""The panel as a reader uses it: mouse and keys on the window, pixels in the views, and the real scene behind them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent

from tests.region_growing import RegionGrower
from tests.slicer import headless
from tests.slicer.l1.bench import ball
from tests.slicer.l2.hand import Hand, rest, show, until

GRID = np.array([[-1.0, 0, 0, 30], [0, -1.0, 0, 40], [0, 0, 2.0, -20], [0, 0, 0, 1]])  # IJK to RAS: 1 x 1 x 2 mm, axial
CENTRE = (12, 30, 40)  # of the ball, as an index (k, j, i)
BALL = ball() > 0


def world(k: float, j: float, i: float) -> np.ndarray:
    """World position of an index."""
    return (GRID @ [i, j, k, 1])[:3]


class Slow(RegionGrower):
    """Answers when its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.thread: threading.Thread | None = None

    def predict(self, request: Any) -> Any:
        self.thread = threading.current_thread()
        assert self.gate.wait(60)
        return super().predict(request)


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Slow:
    """Answers without a network; journals go to a folder of the test."""
    grower = Slow()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("edgeflow_med.predictors.lazy.load_predictor", lambda *_choice: grower)
    return grower


@pytest.fixture
def ct(hand: Hand) -> Any:
    """A bright ball, shown in all views at its centre."""
    assert hand.window.visible
    node = headless.volume_node(ball(), GRID)
    node.CreateDefaultDisplayNodes()
    show(node)
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *world(*CENTRE))
    return node


class Reader(Hand):
    """Somebody with the panel, the ball, and the mouse."""

    def __init__(self, hand: Hand, panel: Any, volume: Any) -> None:
        super().__init__(hand.window)
        self.panel, self.ui, self.volume = panel, panel.ui, volume

    def node(self) -> Any:
        """The segmentation."""
        return self.ui.segmentationSelector.currentNode()

    def count(self) -> int:
        """How many segments there are."""
        return int(self.node().GetSegmentation().GetNumberOfSegments())

    def mask(self, number: int = 0) -> np.ndarray:
        """What the scene holds of a segment."""
        identifiers = self.node().GetSegmentation().GetSegmentIDs() if self.node() else ()
        if len(identifiers) <= number:
            return np.zeros(BALL.shape, bool)
        return slicer.util.arrayFromSegmentBinaryLabelmap(self.node(), identifiers[number], self.volume) > 0

    def clicked(self, *index: float, **how: Any) -> np.ndarray:
        """Click on a voxel, wait until the mask is another, and return it."""
        before = self.mask()
        self.click(world(*index), **how)
        until(lambda: (self.mask() != before).any())
        return self.mask()

    def painted(self, *index: float, name: str = "Red") -> bool:
        """Whether a voxel is coloured in a view, as segments are and the scan is not."""
        return bool(np.ptp(self.colour(world(*index), name)) > 30)


@pytest.fixture
def reader(hand: Hand, ct: Any, panel: Any, network: Slow) -> Reader:
    made = Reader(hand, panel, ct)
    until(lambda: panel.case is not None and not panel.worker.unfinished)
    network.thread = None  # it has been warmed up
    return made


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
    assert reader.ui.signButton.checked
    assert not reader.clicked(12, 30, 44)[12, 30, 44]
    reader.press(reader.ui.signButton)
    assert not reader.ui.signButton.checked


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
    until(lambda: reader.panel.case.interaction.armed)
    assert reader.clicked(*CENTRE).any()


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


def test_export_writes_what_is_shown(reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import qt
    import SimpleITK

    mask = reader.clicked(*CENTRE)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_words: str(tmp_path))
    formats = [reader.ui.exportFormatCombo.itemText(row) for row in range(reader.ui.exportFormatCombo.count)]
    reader.ui.exportFormatCombo.currentIndex = next(row for row, text in enumerate(formats) if "NIfTI" in text)
    reader.press(reader.ui.exportButton)
    until(lambda: "Saved" in reader.ui.statusLabel.text)
    written = next(iter(tmp_path.glob("*.nii.gz")))
    assert reader.ui.statusLabel.text == f"Saved and read back: {written}."
    assert (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(written)).astype(bool) == mask).all()


def test_the_installation_is_checked_on_request(reader: Reader) -> None:
    reader.press(reader.ui.checkButton)
    until(lambda: "The main job" in reader.ui.installationLabel.text)
    assert reader.ui.installationLabel.text.startswith("edgeflow_med ")
    assert "All packages that it needs are there." in reader.ui.installationLabel.text


@pytest.mark.usefixtures("ct")
def test_missing_packages_are_told_not_asked_for(hand: Hand, monkeypatch: pytest.MonkeyPatch, request: Any) -> None:
    monkeypatch.setattr("EdgeFlowLib.installation.missing", lambda: ["torch>=2.8"])
    panel = request.getfixturevalue("panel")
    assert panel.case is None
    assert "missing" in panel.ui.statusLabel.text
    hand.click(world(*CENTRE))


@pytest.mark.usefixtures("ct")
def test_packages_come_from_a_folder_of_wheels(
    hand: Hand, monkeypatch: pytest.MonkeyPatch, request: Any, tmp_path: Path
) -> None:
    import qt

    lacking, told = ["torch>=2.8"], []
    monkeypatch.setattr("EdgeFlowLib.installation.missing", lambda: list(lacking))
    monkeypatch.setattr("EdgeFlowLib.installation.install", lambda wheels: told.append(wheels) or lacking.clear())
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_words: str(tmp_path))
    panel = request.getfixturevalue("panel")
    panel.ui.advancedSection.collapsed = False
    hand.press(panel.ui.wheelsButton)
    assert told == [tmp_path]
    until(lambda: panel.case is not None)


def test_not_for_clinical_use_is_seen(reader: Reader) -> None:
    assert "not for clinical use" in reader.ui.notClinicalLabel.text
    assert reader.ui.notClinicalLabel.visible
