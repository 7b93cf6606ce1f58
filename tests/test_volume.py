"""The laws of a grid: index and position are inverse, letters and planes follow the patient, errors say what to do."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray

from edgeflow_med.errors import EdgeFlowError, GeometryError
from edgeflow_med.segmentation import LESION, Segment, Segmentation
from edgeflow_med.volume import Plane, Volume
from tests.phantoms import Phantom, is_true

ORIENTATIONS = list(product(permutations(range(3)), product((1, -1), repeat=3)))
FINITE = st.floats(-100, 100, allow_nan=False)


@st.composite
def affines(draw: st.DrawFn) -> NDArray[np.float64]:
    """Invertible index-to-position matrices, sheared and mirrored ones among them."""
    affine = np.eye(4)
    affine[:3, :3] = draw(hnp.arrays(np.float64, (3, 3), elements=st.floats(-3, 3, allow_nan=False)))
    affine[:3, 3] = draw(st.tuples(FINITE, FINITE, FINITE))
    assume(abs(np.linalg.det(affine[:3, :3])) > 0.05)
    return affine


def blank(affine: NDArray[np.float64], shape: tuple[int, int, int] = (3, 4, 5)) -> Volume:
    return Volume(np.zeros(shape, np.uint8), affine)


@given(affines(), hnp.arrays(np.float64, (7, 3), elements=FINITE))
def test_index_undoes_position(affine: NDArray[np.float64], indices: NDArray[np.float64]) -> None:
    volume = blank(affine)
    np.testing.assert_allclose(volume.index(volume.position(indices)), indices, atol=1e-6)
    assert volume.position(indices[0]).shape == (3,)


@given(affines())
def test_the_affine_is_what_position_applies(affine: NDArray[np.float64]) -> None:
    volume = blank(affine)
    np.testing.assert_allclose(volume.position((2, 3, 4)), (affine @ (2, 3, 4, 1))[:3], atol=1e-9)
    np.testing.assert_allclose(volume.spacing, [np.linalg.norm(affine[:3, axis]) for axis in range(3)])
    assert volume.voxel_ml == pytest.approx(abs(np.linalg.det(affine[:3, :3])) / 1000)


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_letters_and_planes_agree_with_nibabel(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = 1.5 * sign
    volume = blank(affine)
    assert "".join(aff2axcodes(np.diag([-1, -1, 1, 1]) @ affine)) == volume.orientation
    for plane, world in ((Plane.SAGITTAL, 0), (Plane.CORONAL, 1), (Plane.AXIAL, 2)):
        assert volume.axis(plane) == order.index(world)
    assert volume.axis(volume.acquisition_plane) == 0


def test_a_plain_axial_series_grows_to_head_back_and_left() -> None:
    affine = np.array([[0, 0, 0.8, 0], [0, 0.7, 0, 0], [2.5, 0, 0, 0], [0, 0, 0, 1.0]])
    volume = blank(affine)
    assert volume.orientation == "SPL"
    assert volume.acquisition_plane is Plane.AXIAL
    assert volume.spacing == (2.5, 0.7, 0.8)
    assert volume.axis("sagittal") == 2


def test_every_index_axis_keeps_a_plane_of_its_own_when_turned_by_45_degrees() -> None:
    turned = np.eye(4)
    turned[:2, :2] = [[np.sqrt(0.5), -np.sqrt(0.5)], [np.sqrt(0.5), np.sqrt(0.5)]]
    assert sorted(blank(turned).axis(plane) for plane in Plane) == [0, 1, 2]


@pytest.mark.parametrize(
    ("index", "inside"),
    [
        ((0, 0, 0), True),
        ((2, 3, 4), True),
        ((2.0, 3.0, 4.0), True),
        ((3, 0, 0), False),
        ((0, -0.1, 0), False),
        ((0, 0), False),
    ],
)
def test_contains(index: tuple[float, ...], inside: bool) -> None:
    assert blank(np.eye(4)).contains(index) is inside


def test_same_grid_compares_corners_in_millimetres() -> None:
    volume = Phantom().volume()
    moved = volume.affine.copy()
    moved[0, 3] += 0.009
    assert volume.same_grid(moved, volume.shape)
    moved[0, 3] += 0.002
    assert not volume.same_grid(moved, volume.shape)
    stretched = volume.affine.copy()
    stretched[:3, 2] *= 1 + 1e-3  # 0.04 mm at the far corner
    assert not volume.same_grid(stretched, volume.shape)
    assert not volume.same_grid(volume.affine, (12, 40, 57))


def test_the_phantom_itself_is_true_and_notices_a_wrong_affine() -> None:
    volume = Phantom().volume()
    assert is_true(volume)
    assert not is_true(Volume(volume.array[:, ::-1], volume.affine))


@pytest.mark.parametrize("shape", [(4, 5), (1, 2, 3, 4), (0, 5, 5)])
def test_an_array_that_is_not_three_dimensional_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(GeometryError, match="needs three non-empty axes"):
        Volume(np.zeros(shape), np.eye(4))


@pytest.mark.parametrize("affine", [np.eye(3), np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([1, 1, 0, 1])])
def test_an_affine_that_has_no_inverse_is_refused(affine: NDArray[np.float64]) -> None:
    with pytest.raises(GeometryError, match="not an invertible"):
        Volume(np.zeros((2, 2, 2)), affine)


def test_errors_are_also_built_in_ones() -> None:
    with pytest.raises(ValueError, match="three non-empty axes"):
        Volume(np.zeros(3), np.eye(4))
    assert issubclass(GeometryError, EdgeFlowError)


class TestSegmentation:
    """Masks belong to a volume's grid and to numbered segments."""

    volume = Phantom(shape=(2, 3, 4)).volume()
    mask = np.zeros((2, 3, 4), np.bool_)

    def test_numbers_count_from_one(self) -> None:
        with pytest.raises(GeometryError, match="numbered 1, 2, 3"):
            Segmentation(self.volume, (Segment(2, "a"),), (self.mask,))

    def test_there_is_one_mask_for_each_segment(self) -> None:
        with pytest.raises(GeometryError, match="2 segments but 1 masks"):
            Segmentation(self.volume, (Segment(1, "a"), Segment(2, "b")), (self.mask,))
        with pytest.raises(GeometryError, match="0 segments"):
            Segmentation(self.volume, (), ())

    @pytest.mark.parametrize("mask", [np.zeros((2, 3, 5), np.bool_), np.zeros((2, 3, 4), np.uint8)])
    def test_a_mask_is_bool_and_on_the_grid(self, mask: NDArray[np.generic]) -> None:
        with pytest.raises(GeometryError, match="give a bool mask on the volume's grid"):
            Segmentation(self.volume, (Segment(1, "a"),), (mask,))

    def test_overlap_and_label_map(self) -> None:
        one, two = self.mask.copy(), self.mask.copy()
        one[0, 0, :2], two[0, 0, 1:] = True, True
        both = Segmentation(self.volume, (Segment(1, "a"), Segment(2, "b")), (one, two))
        assert both.overlaps
        np.testing.assert_array_equal(both.labelmap()[0, 0], [1, 2, 2, 2])
        assert not Segmentation(self.volume, (Segment(1, "a"),), (one,)).overlaps

    def test_a_segment_is_a_lesion_unless_told(self) -> None:
        assert Segment(1, "a").type == LESION


@pytest.mark.parametrize("plane", list(Plane))
def test_plane_along_finds_the_nearest_plane_of_a_tilted_grid(plane: Plane) -> None:
    tilt = np.radians(30)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [-np.sin(tilt), np.cos(tilt), 0], [np.cos(tilt), np.sin(tilt), 0]]) @ np.diag(
        [5.0, 0.8, 0.7]
    )
    volume = Volume(np.zeros((4, 5, 6)), affine)
    inside = [affine[:3, axis] for axis in range(3) if axis != volume.axis(plane)]
    assert volume.plane_along(*inside) == plane
    out = 0.3 * affine[:3, volume.axis(plane)] / volume.spacing[volume.axis(plane)] * np.linalg.norm(inside[0])
    assert volume.plane_along(inside[0] + out, inside[1]) == plane


def test_plane_along_refuses_parallel_directions() -> None:
    with pytest.raises(GeometryError, match="span no plane"):
        Volume(np.zeros((2, 2, 2)), np.eye(4)).plane_along((1, 0, 0), (2, 0, 0))


@given(st.sampled_from(ORIENTATIONS))
def test_segments_move_to_the_same_voxels_in_another_order(
    orientation: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    order, signs = orientation
    affine = np.array([[0.1, 0.2, 0.7, 3], [0, 0.8, -0.1, -9], [2.5, 0.3, 0, 40], [0, 0, 0, 1]])
    here = Volume(np.random.default_rng(1).random((3, 4, 5)), affine)
    flips = tuple(slice(None, None, sign) for sign in signs)
    array = here.array.transpose(order)[flips]
    turned = affine.copy()
    turned[:3, :3] = affine[:3, order] * signs
    turned[:3, 3] = here.position(np.where(np.array(signs) > 0, 0, np.subtract(array.shape, 1))[np.argsort(order)])
    there = Volume(array, turned)
    moved = Segmentation(here, (Segment(1, "a"),), (here.array > 0.5,)).on(there)
    np.testing.assert_array_equal(moved.masks[0], array > 0.5)


def test_segments_do_not_move_to_other_voxels() -> None:
    here, shifted = Volume(np.zeros((3, 4, 5)), np.eye(4)), np.eye(4)
    shifted[0, 3] = 0.5
    segmentation = Segmentation(here, (Segment(1, "a"),), (np.ones((3, 4, 5), bool),))
    for other in (Volume(np.zeros((3, 4, 5)), shifted), Volume(np.zeros((3, 5, 4)), np.eye(4))):
        with pytest.raises(GeometryError, match="give the volume that they were made on"):
            segmentation.on(other)


def test_the_nearest_voxel_is_one_of_the_volume() -> None:
    volume = Volume(np.zeros((3, 4, 5)), np.eye(4))
    assert volume.nearest((1.4, 2.6, 0)) == (1, 3, 0)
    assert volume.nearest((-7, 99, 4.4)) == (0, 3, 4)
