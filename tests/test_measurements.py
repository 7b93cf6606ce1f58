"""Volume and diameters of shapes whose size is known."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from scipy.spatial.transform import Rotation

from edgeflow_med.errors import GeometryError
from edgeflow_med.measurements import (
    gap_warnings,
    longest_diameters,
    measure,
    slice_diameters,
    surface_cm2,
    volume_ml,
)
from edgeflow_med.volume import Plane, Volume


def grid(shape, spacing=(1.0, 1.0, 1.0), rotation=None, shear=0.0) -> Volume:
    """A volume with k, j, i along z, y, x, then turned; ``shear`` tilts the slices' stack (a gantry tilt)."""
    axes = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=float) * spacing
    axes[:, 0] += shear * np.array([0, 1, 0])
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if rotation is None else rotation) @ axes
    affine[:3, 3] = (-40, 20, 7)
    return Volume(np.zeros(shape, np.int16), affine)


def test_volume_of_a_box_in_ml():
    mask = np.zeros((10, 20, 20), bool)
    mask[2:6, 5:15, 5:15] = True  # 4 x 10 x 10 voxels of 3 x 0.5 x 0.5 mm
    assert volume_ml(mask, grid(mask.shape, (3.0, 0.5, 0.5))) == pytest.approx(0.3)


def test_shear_does_not_change_a_volume():
    mask = np.ones((2, 3, 4), bool)
    assert volume_ml(mask, grid(mask.shape, (2.0, 1.0, 1.0), shear=0.8)) == pytest.approx(24 * 2 / 1000)


def test_single_pixel_is_one_pixel_long_and_wide():
    mask = np.zeros((3, 9, 9), bool)
    mask[1, 4, 5] = True
    (found,) = slice_diameters(mask, grid(mask.shape, (5.0, 0.7, 0.7)))
    assert (found.axis, found.slice_index) == (0, 1)
    assert found.longest_mm == pytest.approx(0.7)
    assert found.perpendicular_mm == pytest.approx(0.7)


def test_row_of_pixels():
    mask = np.zeros((1, 9, 9), bool)
    mask[0, 4, 1:8] = True
    found = longest_diameters(mask, grid(mask.shape, (5.0, 0.7, 0.7)))
    assert found.longest_mm == pytest.approx(7 * 0.7)
    assert found.perpendicular_mm == pytest.approx(0.7)
    assert sorted(found.longest_ends) == [(0.0, 4.0, 0.5), (0.0, 4.0, 7.5)]


def test_rectangle_with_pixels_that_are_not_square():
    """5 rows of 2 mm and 12 columns of 0.5 mm: from the top side's first middle to the bottom side's last."""
    mask = np.zeros((1, 20, 20), bool)
    mask[0, 3:8, 2:14] = True
    found = longest_diameters(mask, grid(mask.shape, (1.0, 2.0, 0.5)))
    assert found.longest_mm == pytest.approx(math.hypot(5 * 2, 11 * 0.5))


def test_perpendicular_of_a_cross():
    """Arms of 21 and 11 pixels, one pixel thick, crossing off the middle: the short arm is the width."""
    mask = np.zeros((1, 30, 30), bool)
    mask[0, 15, 5:26] = True
    mask[0, 12:23, 9] = True
    found = longest_diameters(mask, grid(mask.shape))
    assert found.longest_mm == pytest.approx(21)
    assert found.perpendicular_mm == pytest.approx(11)
    assert {point[2] for point in found.perpendicular_ends} == {9.0}


@pytest.mark.parametrize("radius_mm", [6.0, 15.0])
def test_disc_on_an_oblique_grid_with_unequal_spacing(radius_mm):
    volume = grid((3, 60, 90), (4.0, 1.0, 0.6), Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix())
    indices = np.stack(np.meshgrid([1], range(60), range(90), indexing="ij"), axis=-1)
    centre = volume.position((1, 30, 45))
    mask = np.zeros(volume.shape, bool)
    mask[1] = np.linalg.norm(volume.position(indices) - centre, axis=-1)[0] <= radius_mm
    found = longest_diameters(mask, volume)
    assert found.slice_index == 1
    assert found.longest_mm == pytest.approx(2 * radius_mm, abs=1.0)
    assert found.perpendicular_mm == pytest.approx(2 * radius_mm, abs=1.0)
    ends = volume.position(found.longest_ends)
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(found.longest_mm)
    across = volume.position(found.perpendicular_ends)
    assert (ends[1] - ends[0]) @ (across[1] - across[0]) == pytest.approx(0.0, abs=1e-6)


def test_in_plane_axes_that_are_not_at_right_angles():
    """A sheared coronal slice: rows run along (0, 3, 4) / 5 instead of z, so the diagonal follows the cosine rule."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0.6, 0.8], [0, 1, 0], [1, 0, 0]]).T
    volume = Volume(np.zeros((5, 5, 5), np.int16), affine)
    mask = np.zeros(volume.shape, bool)
    mask[np.arange(5), np.arange(5), 2] = True  # a diagonal of the k-j plane
    plane = next(p for p in Plane if volume.axis(p) == 2)
    found = longest_diameters(mask, volume, plane)
    step = np.linalg.norm(affine[:3, 0] + affine[:3, 1])
    ends = volume.position(found.longest_ends)
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(found.longest_mm)
    assert 4 * step < found.longest_mm < 5 * step


def test_other_planes():
    mask = np.zeros((12, 9, 9), bool)
    mask[1:11, 4, 4] = True
    volume = grid(mask.shape, (3.0, 1.0, 1.0))
    assert len(slice_diameters(mask, volume)) == 10
    coronal = longest_diameters(mask, volume, "coronal")
    assert (coronal.axis, coronal.slice_index) == (1, 4)
    assert coronal.longest_mm == pytest.approx(30.0)
    assert sorted(coronal.longest_ends) == [(0.5, 4.0, 4.0), (10.5, 4.0, 4.0)]


def test_separate_pieces_are_not_measured_across_the_gap():
    mask = np.zeros((1, 40, 40), bool)
    mask[0, 2, 2:7] = True
    mask[0, 35, 30:38] = True
    found = longest_diameters(mask, grid(mask.shape))
    assert found.longest_mm == pytest.approx(8)


def test_longest_slice_wins_and_an_empty_mask_has_none():
    mask = np.zeros((4, 9, 9), bool)
    assert longest_diameters(mask, grid(mask.shape)) is None
    mask[1, 4, 2:5] = True
    mask[3, 4, 2:8] = True
    assert longest_diameters(mask, grid(mask.shape)).slice_index == 3


def test_mask_of_another_shape_is_refused():
    with pytest.raises(GeometryError, match="does not fit the volume"):
        volume_ml(np.zeros((2, 2, 2), bool), grid((2, 2, 3)))


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_equals_brute_force_over_all_outline_points(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((1, 12, 12), bool)
    mask[0, 2:10, 2:10] = rng.random((8, 8)) < 0.7
    mask[0, 5, :] = True
    mask[0, :, 5] = True
    volume = grid(mask.shape, (1.0, 1.3, 0.8))
    from scipy.ndimage import label

    pieces = label(mask[0], np.ones((3, 3)))[0]
    best = 0.0
    for number in range(1, pieces.max() + 1):
        pixels = np.argwhere(pieces == number)
        sides = pixels[:, None] + np.array([(-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5)])
        points = sides.reshape(-1, 2) * (1.3, 0.8)
        best = max(best, np.linalg.norm(points[:, None] - points[None], axis=-1).max())
    assert longest_diameters(mask, volume).longest_mm == pytest.approx(best)


def test_fast_enough_for_a_whole_scan():
    j, i = np.mgrid[:512, :512]
    disc = (j - 250) ** 2 + (i - 260) ** 2 < 150**2
    mask = np.repeat(disc[None], 100, axis=0)
    started = time.perf_counter()
    found = slice_diameters(mask, grid(mask.shape, (1.0, 0.8, 0.8)))
    assert len(found) == 100
    assert time.perf_counter() - started < 10.0  # 0.5 s on a quiet laptop core


def ball(radius: float, spacing: tuple[float, float, float]) -> np.ndarray:
    half = [math.ceil(radius / mm) + 2 for mm in spacing]
    indices = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in half], indexing="ij"), -1)
    return np.asarray(np.linalg.norm(indices * spacing, axis=-1) <= radius)


@pytest.mark.parametrize(("spacing", "too_large"), [((1.0, 1.0, 1.0), 1.08), ((2.0, 0.7, 0.7), 1.15)])
def test_surface_of_a_ball_is_a_little_too_large_as_documented(spacing, too_large):
    mask = ball(20, spacing)
    rotation = Rotation.from_euler("xyz", (20, 30, 40), degrees=True).as_matrix()
    area = surface_cm2(mask, grid(mask.shape, spacing, rotation))
    assert area / (4 * math.pi * 2.0**2) == pytest.approx(too_large, abs=0.02)


def test_surface_of_a_box_that_touches_the_border_and_of_a_sheared_one():
    mask = np.ones((4, 10, 10), bool)
    assert surface_cm2(mask, grid(mask.shape, (5.0, 1.0, 1.0))) == pytest.approx(
        10.0, rel=0.07
    )  # its corners are cut off
    assert surface_cm2(np.zeros_like(mask), grid(mask.shape)) == 0
    straight, sheared = (surface_cm2(mask, grid(mask.shape, (5.0, 1.0, 1.0), shear=mm)) for mm in (0.0, 5.0))
    assert sheared > 1.05 * straight


def test_values_are_those_of_the_voxels_inside():
    mask = np.zeros((3, 5, 5), bool)
    mask[1, 1:3, 1:3] = True
    volume = grid(mask.shape)
    volume.array[mask] = (10, 20, 30, 40)
    found = measure(mask, volume)
    assert (found.mean, found.sd) == (25.0, pytest.approx(math.sqrt(125)))
    assert found.longest == found.diameters[0]
    assert found.warnings == ()
    empty = measure(np.zeros_like(mask), volume)
    assert (empty.volume_ml, empty.longest, empty.mean, empty.sd, empty.surface_cm2) == (0, None, None, None, 0)


def test_slices_without_outline_missing_slices_and_gaps_between_slices_are_told():
    mask = np.zeros((9, 5, 5), bool)
    mask[[1, 2, 6], 2, 2] = True
    plain = grid(mask.shape, (5.0, 1.0, 1.0))
    assert gap_warnings(mask, plain) == [
        "3 slices between slice 1 and 6 along k are empty; volume and surface hold only what was outlined."
    ]
    assert gap_warnings(mask, plain, axis=1) == []
    headers = []
    for k in range(9):
        header = Dataset()
        header.SliceThickness = 3
        if k != 4:
            header.SOPInstanceUID = f"1.2.{k}"
        headers.append(header)
    _, missing, apart = gap_warnings(mask, replace(plain, headers=tuple(headers)))
    assert missing.startswith("1 of its slices are missing")
    assert apart.startswith("Slices are 3 mm thick and 5 mm apart")
    solid = mask.copy()
    solid[3:6, 2, 2] = True
    whole = tuple(header for header in headers if "SOPInstanceUID" in header)
    assert gap_warnings(solid[:8], replace(grid((8, 5, 5), (3.0, 1.0, 1.0)), headers=whole)) == []
