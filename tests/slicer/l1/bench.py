"""A case on real MRML with three offscreen slice views, and what a reader would do to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray

from edgeflow_med.gui.case import Case
from edgeflow_med.gui.worker import Worker
from edgeflow_med.predictors.base import Predictor
from tests.region_growing import RegionGrower
from tests.slicer import headless


def ball(shape: tuple[int, int, int] = (24, 64, 72), centre: tuple[int, int, int] = (12, 30, 40)) -> NDArray[np.int16]:
    """A bright ball in dark air, ``(K, J, I)``: radius 9 voxels in plane, 5 slices up and down."""
    k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
    distance = ((k - centre[0]) / 5) ** 2 + ((j - centre[1]) / 9) ** 2 + ((i - centre[2]) / 9) ** 2
    return np.where(distance <= 1, 100, -100).astype(np.int16)


class Reader:
    """Somebody at the screen.

    Attributes:
        told: Lines that the module reported.
        views: By name.
    """

    def __init__(
        self,
        volume: Any,
        make_view: Callable[..., headless.SliceView],
        *,
        names: tuple[str, ...] = ("Red",),
        predictor: Predictor | None = None,
        segmentation: Any = None,
        window: str = "-100,100",
    ) -> None:
        from EdgeFlowLib.bridge import Bridge
        from EdgeFlowLib.overlays import Overlays
        from EdgeFlowLib.views import Views

        self.volume, self.worker, self.told = volume, Worker(), list[str]()
        self.views = {name: make_view(name) for name in names}
        for view in self.views.values():
            view.show(volume)
        self.node = segmentation or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        self.bridge = Bridge(volume, self.node)
        self.case = Case(
            self.bridge,
            Views(self.bridge, [(view.node, view.interactor) for view in self.views.values()]),
            Overlays(self.bridge),
            self.worker,
            report=self.told.append,
            changed=lambda: None,
        )
        self.case.session.predictor = predictor or RegionGrower()
        self.case.session.window = window

    @property
    def red(self) -> headless.SliceView:
        return self.views["Red"]

    def world(self, *index: float) -> NDArray[np.float64]:
        """World point (RAS) of an index (k, j, i)."""
        return self.bridge.frame.world(index)

    def look_at(self, *index: float) -> None:
        """Put all views through a voxel (k, j, i)."""
        for view in self.views.values():
            view.node.JumpSlice(*self.world(*index))

    def click(self, *index: float, view: str = "Red", ctrl: bool = False) -> None:
        """Click on a voxel, and wait for the answer."""
        self.views[view].click(self.views[view].xy(self.world(*index)), ctrl=ctrl)
        self.settle()

    def drag(self, *points: tuple[float, float, float], view: str = "Red", ctrl: bool = False) -> None:
        """Drag through voxels, and wait for the answer."""
        at = self.views[view]
        at.drag([at.xy(self.world(*point)) for point in points], ctrl=ctrl)
        self.settle()

    def settle(self, effect: str = "") -> None:
        """Poll as the panel's timer does until nothing is under way."""
        deadline = time.monotonic() + 300
        while True:
            self.case.poll(effect)
            if not (self.case.desk.asking or self.case.desk.walking or self.worker.unfinished):
                break
            assert time.monotonic() < deadline, self.told
            time.sleep(0.002)
        self.case.poll(effect)

    def mask(self, label: str = "Lesion") -> NDArray[np.bool_]:
        """What the scene holds of a segment, by Slicer's own way out of it."""
        identifier = self.node.GetSegmentation().GetSegmentIdBySegmentName(label)
        return slicer.util.arrayFromSegmentBinaryLabelmap(self.node, identifier, self.volume) > 0

    def painted(self, *index: float, view: str = "Red") -> bool:
        """Whether a view's pixel at a voxel is coloured, as segments are and the scan is not."""
        at = self.views[view]
        pixel = at.pixel(at.render(), self.world(*index)).astype(int)
        return bool(np.ptp(pixel) > 30)

    def close(self) -> None:
        """Leave the case, the views and the thread; a second call does nothing."""
        self.case.close()
        self.worker.stop()
        for view in self.views.values():
            view.close()
