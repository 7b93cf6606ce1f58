"""Self-test of the module EdgeFlow in 3D Slicer: a lesion is clicked in a slice view, and undone.

ctest runs it in a build of the extension. It needs nothing but a running Slicer; the click is skipped, with the reason,
while packages are missing.
"""

import time
import unittest

import numpy as np
import slicer

CENTRE, RADIUS = (20, 40, 50), 14  # of a ball: index (k, j, i), and mm


def ball():
    """Which voxels of a volume of 40 x 96 x 96 voxels, each of 1 mm, are in the ball."""
    k, j, i = np.ogrid[:40, :96, :96]
    return (k - CENTRE[0]) ** 2 + (j - CENTRE[1]) ** 2 + (i - CENTRE[2]) ** 2 <= RADIUS**2


class EdgeFlowSelfTest(unittest.TestCase):
    """From the mouse to the segment."""

    def setUp(self):
        """An empty scene, a bright ball in it, and the module."""
        slicer.mrmlScene.Clear()
        image = np.where(ball(), 90, -60) + np.random.default_rng(0).normal(0, 8, ball().shape)
        self.volume = slicer.util.addVolumeFromArray(image.astype(np.int16), name="Ball")
        slicer.util.setSliceViewerLayers(background=self.volume, fit=True)
        slicer.util.selectModule("EdgeFlow")
        self.panel = slicer.modules.EdgeFlowWidget
        self.panel.ui.volumeSelector.setCurrentNode(self.volume)

    def wait_for(self, condition, seconds=120):
        """Let the application work until something is so."""
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, f"not within {seconds} s; status: {self.panel.ui.statusLabel.text}")
            slicer.app.processEvents()
            time.sleep(0.005)

    def click(self, index):
        """Press and release the left button on a voxel (k, j, i) in the red view."""
        view = slicer.app.layoutManager().sliceWidget("Red")
        ras = [*index[::-1], 1]  # the volume's matrix is the identity
        view.mrmlSliceNode().SetSliceOffset(ras[2])
        inverse = np.linalg.inv(slicer.util.arrayFromVTKMatrix(view.mrmlSliceNode().GetXYToRAS()))
        x, y = (round(each) for each in (inverse @ ras)[:2])
        interactor = view.sliceView().interactor()
        for event in ("MouseMoveEvent", "LeftButtonPressEvent", "LeftButtonReleaseEvent"):
            interactor.SetEventInformation(x, y, 0, 0, "\0", 0, None)
            interactor.InvokeEvent(event)

    def mask(self):
        """Voxels of all segments of the segmentation in use."""
        node, found = self.panel.ui.segmentationSelector.currentNode(), np.zeros(ball().shape, bool)
        for identifier in node.GetSegmentation().GetSegmentIDs() if node else ():
            found |= slicer.util.arrayFromSegmentBinaryLabelmap(node, identifier, self.volume) > 0
        return found

    def test_click_and_undo(self):
        """A click outlines the ball on its slice, and undo takes that back."""
        from EdgeFlowLib import installation

        if installation.missing():
            self.skipTest(f"packages are missing: {', '.join(map(str, installation.missing()))}")
        self.wait_for(lambda: self.panel.case is not None)
        self.click(CENTRE)
        self.wait_for(lambda: self.mask().any())
        found, true = self.mask()[CENTRE[0]], ball()[CENTRE[0]]
        self.assertGreater(2 * (found & true).sum() / (found.sum() + true.sum()), 0.7)
        self.assertEqual(self.mask().sum(), found.sum(), "other slices changed")
        self.panel.ui.undoButton.click()
        self.wait_for(lambda: not self.mask().any())
