"""What is shown does not depend on how the scan happens to be stored, and is upright."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from edgeflow_med.cli.panels import View, choose_evenly, picture_rows
from edgeflow_med.picture import TILES
from edgeflow_med.report import describe
from edgeflow_med.session import Session
from edgeflow_med.volume import Plane, Volume
from tests.cli.scans import CENTRE, Flood, volume
from tests.phantoms import AXIAL

# Where the patient's front, head and left are in an axial, coronal and sagittal picture.
LETTERS = {Plane.AXIAL: ("A", "P", "R", "L"), Plane.CORONAL: ("S", "I", "R", "L"), Plane.SAGITTAL: ("S", "I", "A", "P")}


def stored_otherwise(original: Volume, order: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """The same scan with its axes in another order and direction."""
    array, affine = original.array.transpose(order), original.affine[:, [*order, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            array = np.flip(array, axis)
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
    return Volume(array, affine, modality="CT")


@pytest.mark.parametrize("plane", Plane)
def test_all_48_orientations_show_the_same(plane: Plane) -> None:
    original = AXIAL.volume()
    view = View.of(original, plane)
    assert view.letters == LETTERS[plane]
    spot = (3, 11, 37)
    shown = view.turn(np.take(original.array, spot[view.axis], view.axis))
    place = view.point(spot)
    for order, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        other = stored_otherwise(original, order, flips)
        same = np.round(other.index(original.position(spot))).astype(int)
        turned = View.of(other, plane)
        assert np.array_equal(turned.turn(np.take(other.array, same[turned.axis], turned.axis)), shown)
        assert turned.point(same) == place
        assert turned.letters == view.letters
        assert turned.spacing == pytest.approx(view.spacing)


def test_a_point_is_where_the_turned_slice_has_its_voxel() -> None:
    original = stored_otherwise(volume(), (2, 0, 1), (True, False, True))
    for plane in Plane:
        view = View.of(original, plane)
        marked = np.zeros(original.shape)
        spot = tuple(n // 3 for n in original.shape)
        marked[spot] = 1
        row, column = view.point(spot)
        assert view.turn(np.take(marked, spot[view.axis], view.axis))[int(row), int(column)] == 1


@pytest.mark.parametrize(("count", "main"), [(1, 0), (2, 1), (5, 2), (9, 8), (10, 1), (51, 23), (51, 0), (51, 50)])
def test_the_strip_goes_from_end_to_end_and_holds_the_main_slice(count: int, main: int) -> None:
    chosen = choose_evenly(range(100, 100 + count), 100 + main)
    assert chosen == sorted(set(chosen))
    assert (chosen[0], chosen[-1]) == (100, 99 + count)
    assert 100 + main in chosen
    assert len(chosen) == min(count, TILES)


def test_rows_are_the_segments_with_prompts() -> None:
    session = Session(volume(), Flood())
    session.add_segment("Imported", np.ones(session.volume.shape, bool))
    segment = session.add_segment("Ball")
    session.click(CENTRE, segment=segment)
    session.click((8, 2, 90), positive=False, segment=segment)
    list(session.propagate(segment))
    (row,) = picture_rows(session, describe(session))
    assert (row.label, row.main.number, row.axis) == ("Ball", 8, "k")
    assert [(mark.points, mark.positive) for mark in row.marks] == [(((22.0, 50.0),), True), (((2.0, 90.0),), False)]
    assert row.spacing == (1.5, 0.75)
    assert np.array_equal(row.main.level >= 0.5, session.mask(segment)[8])
    assert dict(row.facts)["slices"] == str(np.count_nonzero(session.mask(segment).any(axis=(1, 2))))
