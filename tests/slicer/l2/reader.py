"""Somebody with the panel, a bright ball to segment, and a mouse; the network is one that grows regions."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import slicer

from tests.region_growing import RegionGrower
from tests.slicer.l1.bench import ball
from tests.slicer.l2.hand import Hand, until

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
