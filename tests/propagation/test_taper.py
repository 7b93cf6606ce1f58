"""How a lesion's shape is found and used, on sections and answers that are made here."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeflow_med.predictors.base import Prediction
from edgeflow_med.propagation import SliceStep, propagate
from edgeflow_med.propagation.carry import draw
from edgeflow_med.propagation.taper import HALF_LENGTH, POWER, SUREST, TRUST, Lean, Taper
from tests.region_growing import Follower, RegionGrower, disk, picture

SHAPE = (64, 72)
CENTRE = (30.0, 40.0)
RADIUS = 12.0
AREA = math.pi * 10**2  # of a section of 10 mm radius


def run(slices: Sequence[NDArray[np.float32]], known: dict[int, Prediction], **options: object) -> list[SliceStep]:
    steps = propagate(Follower(), slices.__getitem__, len(slices), known, **options)  # type: ignore[arg-type]
    return [step for step in steps if step.prediction is not None]


def areas(steps: Sequence[SliceStep]) -> dict[int, int]:
    return {step.index: int(step.prediction.mask.sum()) for step in steps if step.prediction is not None}


@pytest.fixture
def grey() -> list[NDArray[np.float32]]:
    """Forty-one slices on which nothing shows."""
    return [np.full(SHAPE, 0.5, np.float32)] * 41


def test_of_one_section_the_usual_shape_about_it() -> None:
    found = Taper.fit({7.0: AREA})
    assert found.middle == pytest.approx(7)
    assert found.half == pytest.approx(10 * HALF_LENGTH)


def test_a_lean_moves_the_middle_to_the_side_that_gets_larger() -> None:
    above, below = (Taper.fit({7.0: AREA}, lean=Lean(5.0, side * 0.3)) for side in (1, -1))
    assert 10 < above.middle < 20
    assert above.middle - 7 == pytest.approx(7 - below.middle, abs=1e-3)
    assert above.half == pytest.approx(below.half, abs=1e-3)
    assert above.half >= 10 * HALF_LENGTH  # a section off the middle is not the largest


def test_several_sections_tell_where_the_middle_is_and_how_long_it_is() -> None:
    shape = Taper(10.0, 20.0)
    largest = math.pi * (20 / HALF_LENGTH) ** 2
    found = Taper.fit({place: largest * shape.share(place) for place in (-2.0, 4.0, 15.0)})
    assert found.middle == pytest.approx(10, abs=1)
    assert found.half == pytest.approx(20, rel=0.05)
    assert Taper.fit({0.0: AREA, 60.0: AREA}).half > 30  # longer than usual, because the reader has said so


def test_ends_that_the_reader_has_marked_are_ends() -> None:
    found = Taper.fit({0.0: AREA}, ends=[9.0, -40.0])
    assert found.middle + found.half < 12
    assert found.middle - found.half > -25  # and beyond the other one there is nothing new
    assert Taper.fit({0.0: AREA}, ends=[-90.0, 90.0]) == Taper.fit({0.0: AREA})


def test_share_by_hand() -> None:
    shape = Taper(5.0, 10.0)
    assert shape.share(5) == 1
    assert shape.share(10) == shape.share(0) == pytest.approx(1 - 0.5**POWER)
    assert shape.share(15) == shape.share(-6) == 0


def test_an_answer_that_is_too_large_loses_its_least_sure_pixels() -> None:
    probability = np.linspace(0.3, 0.7, 401, dtype=np.float32)[None]  # 201 pixels at 0.5 and above
    answer = Prediction(probability, np.zeros_like(probability), 0.8)
    shape = Taper(0.0, 10.0)
    lessened = shape.lessen(answer, 201, 5.0, 5.0)
    wanted = 201 * shape.share(5) ** TRUST
    assert lessened.mask.sum() == pytest.approx(wanted, abs=1)
    assert not (lessened.mask & ~answer.mask).any()
    assert np.all(np.diff(lessened.probability[0]) > 0)
    assert shape.lessen(answer, 201, 5.0, -3.0) is answer  # towards the middle it may grow
    assert shape.lessen(answer, 400, 5.0, 5.0) is answer  # smaller than expected
    beyond = shape.lessen(answer, 201, 12.0, 1.0)
    assert beyond.mask.sum() == 1  # the surest


def test_what_is_sure_stays() -> None:
    probability = np.array([[0.1, 0.55, 0.6, SUREST + 0.02, 0.95]], np.float32)
    answer = Prediction(probability, np.zeros_like(probability), 0.8)
    assert Taper(0.0, 10.0).lessen(answer, 4, 30.0, 1.0).mask.tolist() == [[False, False, False, True, True]]


def test_where_nothing_shows_a_lesion_ends_and_anything_else_goes_on(grey: list[NDArray[np.float32]]) -> None:
    known = {20: draw(disk(SHAPE, CENTRE, RADIUS))}
    assert len(run(grey, known)) == 40
    found = areas(run(grey, known, lesion=True))
    expected = RADIUS * HALF_LENGTH
    for side in (1, -1):
        reached = [n for n in found if (n - 20) * side > 0]
        assert 0.7 * expected < len(reached) < expected + 3
        sizes = [found[n] for n in sorted(reached, key=lambda n: abs(n - 20))]
        assert sizes == sorted(sizes, reverse=True)
    assert found[28] == pytest.approx(found[12], rel=0.02)


def test_a_network_that_is_sure_is_believed() -> None:
    slices = [picture(disk(SHAPE, CENTRE, RADIUS))] * 41
    known = {20: draw(disk(SHAPE, CENTRE, RADIUS))}
    steps = list(propagate(RegionGrower(), slices.__getitem__, 41, known, lesion=True))
    assert sum(step.prediction is not None for step in steps) == 40


def test_thickness_counts(grey: list[NDArray[np.float32]]) -> None:
    known = {20: draw(disk(SHAPE, CENTRE, RADIUS))}
    thick, thin = (len(run(grey, known, lesion=True, thickness=mm)) for mm in (3.0, 1.5))
    assert 0 < thick < 0.7 * thin


def test_an_end_that_is_marked_brings_the_end_nearer_on_that_side_only(grey: list[NDArray[np.float32]]) -> None:
    nothing = Prediction(np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32), 1.0)
    start = draw(disk(SHAPE, CENTRE, RADIUS))
    free, marked = (areas(run(grey, known, lesion=True)) for known in ({20: start}, {20: start, 28: nothing}))
    assert marked[27] < 0.85 * free[27]
    assert max(marked) < 28


def test_short_ways_are_not_probed(grey: list[NDArray[np.float32]]) -> None:
    start = {20: draw(disk(SHAPE, CENTRE, RADIUS))}
    for limit, requests in ((2, 4), (10, 20 + 12)):  # half a radius is six slices each way
        follower = Follower()
        list(propagate(follower, grey.__getitem__, 41, start, limit=limit, lesion=True))
        assert follower.asked == requests
    follower = Follower()
    list(propagate(follower, grey.__getitem__, 41, start, limit=15, lesion=True, thickness=0.5))
    assert follower.asked == 30 + 16  # of the twelve slices within half a radius, eight on each side
    follower = Follower()
    list(propagate(follower, grey.__getitem__, 41, {0: start[20]}, limit=10, lesion=True))
    assert follower.asked == 10  # at the border of the volume there is nothing to compare


def test_between_two_annotated_slices_nothing_is_taken_away(grey: list[NDArray[np.float32]]) -> None:
    start = draw(disk(SHAPE, CENTRE, RADIUS))
    for lesion in (False, True):
        steps = run(grey, {5: start, 35: start}, anchors=(4, 36), lesion=lesion)
        between = [step for step in steps if step.direction == 0]
        assert len(between) == 29
        assert min(areas(between).values()) > 0.9 * start.mask.sum()
