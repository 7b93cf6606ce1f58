"""A desk in a small world: a disk on seven slices, region growing instead of the network."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from edgeflow_med.gui.desk import Desk
from edgeflow_med.gui.worker import Worker
from edgeflow_med.session import Session
from edgeflow_med.volume import Plane, Volume
from tests.region_growing import RegionGrower

SHAPE = (9, 40, 48)
AFFINE = np.eye(4)[[2, 1, 0, 3]]  # k runs along z
VOLUME = Volume(np.zeros(SHAPE), AFFINE)
DISK = np.hypot(np.arange(40)[:, None] - 20, np.arange(48) - 24) < 8


class Seat:
    """A desk whose view is a list of three numbers."""

    def __init__(self) -> None:
        array = np.zeros(SHAPE, np.float32)
        array[1:8] = DISK
        self.worker, self.told, self.view = Worker(), list[str](), [4.0, 20.0, 24.0]
        self.session = Session(Volume(array, AFFINE), RegionGrower(), window="0,1", journal=False)
        self.desk = Desk(self.session, self.worker, self.told.append, lambda axis: round(self.view[axis]), self.jump)

    def jump(self, index: tuple[float, ...]) -> None:
        self.view[:] = index

    def do(self, action: Callable[[], object]) -> None:
        action()
        deadline = time.monotonic() + 10
        while (self.desk.asking or self.desk.walking or self.worker.unfinished) and time.monotonic() < deadline:
            self.desk.poll()
            time.sleep(0.001)

    def click(self, *index: float, inverted: bool = False) -> None:
        self.do(lambda: self.desk.draw([index], Plane.AXIAL, inverted=inverted))
