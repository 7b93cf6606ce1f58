"""Where a volume lies in a program's world, whatever transform it is under."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edgeflow_med.gui.frame import Frame, volume_of
from edgeflow_med.volume import Plane

SHAPE = (9, 20, 24)
ARRAY = np.zeros(SHAPE, np.int16)
# Index (i, j, k) to RAS: 1 x 0.8 x 2 mm, i to the left, j to the back, k to the head
MATRIX = np.array([[-1.0, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 2.0, -5], [0, 0, 0, 1]])
AXIAL = np.array([[-1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])  # a view's x, y and normal, in the world
CORONAL = np.array([[-1.0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])


class Turned:
    """A transform that the program has put the volume under."""

    def __init__(self, degrees: float = 0.0, moved: Sequence[float] = (0, 0, 0)) -> None:
        self.matrix = np.eye(4)
        self.matrix[:3, :3] = Rotation.from_euler("x", degrees, degrees=True).as_matrix()
        self.matrix[:3, 3] = moved

    def __call__(self, point: Sequence[float], inward: bool) -> Sequence[float]:
        matrix = np.linalg.inv(self.matrix) if inward else self.matrix
        return tuple((matrix @ [*point, 1])[:3])


def frame(through: Turned | None = None) -> Frame:
    return Frame(volume_of(ARRAY, MATRIX, "CT", "Chest"), through or Turned())


def test_a_volume_of_a_program_shares_its_voxels_and_lies_where_it_says() -> None:
    volume = volume_of(ARRAY, MATRIX, "CT", "Chest")
    assert np.shares_memory(volume.array, ARRAY)
    assert (volume.modality, volume.name, volume.shape) == ("CT", "Chest", SHAPE)
    assert volume.orientation == "SPL"
    assert volume_of(ARRAY, MATRIX, "NM").modality == ""
    x, y, z = (MATRIX @ [3, 2, 1, 1])[:3]
    np.testing.assert_allclose(volume.position((1, 2, 3)), (-x, -y, z))


@pytest.mark.parametrize("through", [Turned(), Turned(30, (5, -7, 11))])
def test_index_and_world_go_both_ways(through: Turned) -> None:
    at = frame(through)
    np.testing.assert_allclose(at.world((1, 2, 3)), (through.matrix @ MATRIX @ [3, 2, 1, 1])[:3])
    np.testing.assert_allclose(at.index(at.world((1.5, 2.25, 3))), (1.5, 2.25, 3))


@pytest.mark.parametrize(
    ("degrees", "view", "plane"),
    [(0, AXIAL, Plane.AXIAL), (0, CORONAL, Plane.CORONAL), (30, AXIAL, Plane.AXIAL), (80, AXIAL, Plane.CORONAL)],
)
def test_the_nearest_plane_is_that_of_the_volume_not_of_the_world(
    degrees: float, view: np.ndarray, plane: Plane
) -> None:
    assert frame(Turned(degrees)).plane(view) == plane


def test_what_the_mouse_drew_is_told_in_the_volumes_own_terms() -> None:
    at, view = frame(), AXIAL * [[0.5], [0.5], [1], [1]]  # half a millimetre each pixel
    view[:3, 3] = at.world((4, 0, 0))
    path, plane, near_mm = at.drawn(view, [(0, 0), (4, -8)])
    np.testing.assert_allclose(path, [(4, 0, 0), (4, 5, 2)])
    assert plane == Plane.AXIAL
    assert near_mm == pytest.approx(3.0)


def test_which_slice_is_in_view() -> None:
    at = frame()
    axial, coronal = AXIAL.copy(), CORONAL.copy()
    axial[:3, 3], coronal[:3, 3] = at.world((6.3, 0, 0)), at.world((0, 13, 0))
    assert at.shown([axial, coronal], 0) == 6
    assert at.shown([axial, coronal], 1) == 13
    assert at.shown([axial, coronal], 2) == 12  # no view shows that plane
    axial[:3, 3] = at.world((-40, 0, 0))  # beside the volume
    assert at.shown([axial], 0) == 0
