"""A lesion on a real CT with the real network, step by step as in the tutorial; ``make screenshots`` keeps pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from PIL import Image
from PySide6.QtGui import QColor, QPalette

from edgeflow_med.io import read_volume
from edgeflow_med.resources import resource
from tests.slicer import headless
from tests.slicer.l2.hand import Hand, rest, show, until

CASE = "sts_003_ct"
LPS_TO_RAS = np.diag([-1.0, -1, 1, 1])


class Lesion(Hand):
    """The sample CT in the window, and the lesion that its prompts click on."""

    def __init__(self, hand: Hand, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(hand.window)
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        samples = resource("sample_data")
        volume = read_volume(samples / CASE / "series")
        prompts = json.loads((samples / f"{CASE}.clicks.json").read_text("utf-8"))
        self.index = prompts["segments"][0]["prompts"][0]["index"]
        self.to_ras = LPS_TO_RAS @ volume.affine[:, [2, 1, 0, 3]]
        self.node = headless.volume_node(volume.array, self.to_ras, "CT")
        self.node.CreateDefaultDisplayNodes()
        self.node.GetDisplayNode().AutoWindowLevelOff()
        self.node.GetDisplayNode().SetWindowLevel(350, 40)
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        hierarchy.SetItemAttribute(hierarchy.GetItemByDataNode(self.node), "DICOM.Modality", "CT")
        show(self.node)
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *self.world(self.index))

    def world(self, index: Any) -> np.ndarray:
        """World position of an index (k, j, i)."""
        return (self.to_ras @ [*index[::-1], 1])[:3]

    def slices(self, panel: Any) -> int:
        """On how many slices the lesion is outlined."""
        segmentation = panel.ui.segmentationSelector.currentNode()
        identifiers = segmentation.GetSegmentation().GetSegmentIDs() if segmentation else ()
        if not identifiers:
            return 0
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, identifiers[0], self.node)
        return int(mask.any((1, 2)).sum())


def is_picture(path: Path) -> bool:
    """Whether a file holds a picture of the window with something in it."""
    image = np.asarray(Image.open(path).convert("RGB"))
    return image.shape[1] > 1200 and len(np.unique(image.reshape(-1, 3)[::97], axis=0)) > 100


@pytest.mark.slow
def test_the_tutorial_step_by_step(hand: Hand, request: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lesion = Lesion(hand, monkeypatch, tmp_path)
    panel = request.getfixturevalue("panel")
    ui = panel.ui
    until(lambda: panel.case is not None and not panel.worker.unfinished, 180)
    assert is_picture(lesion.screenshot("start"))

    lesion.click(lesion.world(lesion.index))
    until(lambda: lesion.slices(panel) == 1, 180)
    until(lambda: "ml" in ui.measureLabel.text)
    assert is_picture(lesion.screenshot("click"))

    before = lesion.pixels("Red")
    lesion.press(ui.edgesCheck)
    until(lambda: (lesion.pixels("Red") != before).any())
    rest()
    assert is_picture(lesion.screenshot("edges"))

    lesion.press(ui.edgesCheck)
    ui.rangeSpin.value = 8
    rest()
    lesion.press(ui.propagateBothButton)
    until(lambda: ui.stopButton.enabled)
    until(lambda: not ui.stopButton.enabled and not panel.worker.unfinished, 300)
    assert 3 < lesion.slices(panel) <= 17
    lesion.press(ui.nextButton)
    rest()
    assert is_picture(lesion.screenshot("review"))
    light, dark = slicer.app.palette(), QPalette(QColor("#323232"))
    dark.setColor(QPalette.ColorRole.Base, QColor("#1e1e1e"))
    slicer.app.setPalette(dark)
    rest()
    picture = lesion.screenshot("dark")
    slicer.app.setPalette(light)
    assert is_picture(picture)

    for section in (ui.manualSection, ui.exportSection, ui.advancedSection):
        section.collapsed = False
    rest()
    lesion.window.scroll_to(ui.shortcutsTable)
    assert is_picture(lesion.screenshot("sections"))
