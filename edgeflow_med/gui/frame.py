"""Where a volume lies in the world of a program that counts in RAS: millimetres to the patient's right, front and head.

A program may have put the volume under transforms of any kind; it says how a point goes through them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeflow_med.volume import Plane, Volume

FLIP = np.array([-1.0, -1.0, 1.0])  # RAS to LPS and back
NEAR_PIXELS = 6  # what counts as the same place in a view

Point = NDArray[np.float64]


def volume_of(array: NDArray[np.generic], ijk_to_ras: ArrayLike, modality: str = "", name: str = "volume") -> Volume:
    """A volume of voxels ``(K, J, I)``, which are shared, whose matrix ``(4, 4)`` maps (i, j, k, 1) to RAS mm."""
    affine = np.diag([*FLIP, 1.0]) @ np.asarray(ijk_to_ras)
    return Volume(array, affine[:, [2, 1, 0, 3]], modality=modality if modality in ("CT", "MR") else "", name=name)


class Frame:
    """A volume in the world.

    Args:
        volume: The volume.
        through: Takes a RAS point from the world to where the volume lies by itself, or back if the second argument is
            False.
    """

    def __init__(self, volume: Volume, through: Callable[[Sequence[float], bool], Sequence[float]]) -> None:
        self.volume, self._through = volume, through

    def index(self, world: ArrayLike) -> Point:
        """Fractional index (k, j, i) of a world point."""
        return self.volume.index(FLIP * self._through(np.asarray(world, np.float64).tolist(), True))

    def world(self, index: ArrayLike) -> Point:
        """World point of an index (k, j, i)."""
        return np.asarray(self._through((FLIP * self.volume.position(index)).tolist(), False))

    def plane(self, view: NDArray[np.float64]) -> Plane:
        """The volume's plane nearest to a view's, whose matrix ``(4, 4)`` maps its (x, y, z, 1) to the world."""
        at = view[:3, 3]
        start, *ends = (self.volume.position(self.index(at + step)) for step in (0 * at, view[:3, 0], view[:3, 1]))
        return self.volume.plane_along(*(end - start for end in ends))

    def drawn(self, view: NDArray[np.float64], pixels: Sequence[tuple[int, int]]) -> tuple[list[Point], Plane, float]:
        """What the mouse drew: fractional indices, the plane nearest to the view's, and how many mm are near there.

        Args:
            view: ``(4, 4)``, maps (x, y, 0, 1) of a pixel to the world.
            pixels: Where the mouse went.
        """
        points = [self.index((view @ (x, y, 0, 1))[:3]) for x, y in pixels]
        return points, self.plane(view), NEAR_PIXELS * float(np.linalg.norm(view[:3, 0]))

    def shown(self, views: Iterable[NDArray[np.float64]], axis: int) -> int:
        """Number of the slice along an index axis that the first view in its plane shows; of the middle one else.

        Args:
            views: Matrices ``(4, 4)`` from each view's own frame to the world; the last column lies in the slice.
            axis: 0, 1 or 2.
        """
        view = next((view for view in views if self.volume.axis(self.plane(view)) == axis), None)
        return self.volume.shape[axis] // 2 if view is None else self.volume.nearest(self.index(view[:3, 3]))[axis]
