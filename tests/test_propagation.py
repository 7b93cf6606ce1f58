"""Propagation on volumes made here, with a predictor whose answers can be told beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeflow_med.predictors.base import Prediction, SliceRequest, Stroke
from edgeflow_med.propagation import Brakes, Reference, SliceStep, Stop, brake, edge_agreement, propagate
from tests.region_growing import RegionGrower, disk, iou, picture

SHAPE = (64, 72)
CENTRE = (30.0, 40.0)
# Not the defaults, which are tuned to the network.
BRAKES = Brakes(shrink=0.2, grow=2.5, overlap=0.4, tissue=0.2, edge=0.35, quality=0.6, smallest=4)
Picture = NDArray[np.float32]


def walk(
    slices: Sequence[Picture], start: int, grower: RegionGrower | None = None, **options: object
) -> list[SliceStep]:
    """Click on the middle of the structure and propagate."""
    grower = grower or RegionGrower()
    first = grower.predict(SliceRequest(slices[start], strokes=(Stroke((CENTRE,)),)))
    given = {"brakes": BRAKES, **options}
    return list(propagate(grower, lambda n: slices[n], len(slices), start, first, **given))  # type: ignore[arg-type]


def reached(steps: Sequence[SliceStep]) -> list[int]:
    return [step.index for step in steps if step.prediction is not None]


def stops(steps: Sequence[SliceStep]) -> dict[int, tuple[int, Stop | None]]:
    """Direction to where and why it stopped."""
    return {step.direction: (step.index, step.stop) for step in steps if step.prediction is None}


def cylinder(filled: range, count: int = 15, radius: float = 12) -> list[Picture]:
    body, empty = picture(disk(SHAPE, CENTRE, radius)), np.full(SHAPE, 0.1, np.float32)
    return [body if n in filled else empty for n in range(count)]


def test_a_cylinder_is_filled_to_both_ends_and_not_beyond() -> None:
    steps = walk(cylinder(range(3, 11)), 6)
    assert reached(steps) == [5, 4, 3, 7, 8, 9, 10]
    assert stops(steps) == {-1: (2, Stop.ENDED), 1: (11, Stop.ENDED)}
    truth = disk(SHAPE, CENTRE, 12)
    for step in steps:
        if step.prediction is not None:
            assert iou(step.prediction.mask, truth) > 0.9
            assert step.stop is None
            assert step.direction == np.sign(step.index - 6)


def test_a_cone_is_followed_to_its_tip() -> None:
    slices = [picture(disk(SHAPE, CENTRE, radius)) for radius in (16, 14, 12, 10, 8, 6, 4, 2, -1, -1)]
    steps = walk(slices, 0)
    assert reached(steps) == [1, 2, 3, 4, 5, 6, 7]
    assert stops(steps)[1] == (8, Stop.ENDED)
    areas = [int(step.prediction.mask.sum()) for step in steps if step.prediction is not None]
    assert areas == sorted(areas, reverse=True)


def test_the_ends_of_the_volume() -> None:
    steps = walk(cylinder(range(15)), 14)
    assert reached(steps) == list(range(13, -1, -1))
    assert stops(steps) == {-1: (-1, Stop.VOLUME), 1: (15, Stop.VOLUME)}


def test_a_structure_that_jumps_is_not_followed() -> None:
    here, there, away = (disk(SHAPE, (30, column), 12) for column in (40, 57, 15))
    steps = walk([picture(here), picture(here), picture(there)], 0)
    assert stops(steps)[1] == (2, Stop.CHANGED)  # it still touches, but hardly overlaps
    steps = walk([picture(here), picture(here), picture(away)], 0)
    assert stops(steps)[1] == (2, Stop.ENDED)


def test_a_structure_that_runs_into_another_is_not_followed() -> None:
    here = disk(SHAPE, CENTRE, 10)
    merged = here | disk(SHAPE, (30, 20), 18)
    steps = walk([picture(here), picture(here), picture(merged)], 0)
    assert reached(steps) == [1]
    assert stops(steps)[1] == (2, Stop.CHANGED)


def test_other_tissue_in_the_same_place_is_not_followed() -> None:
    here = disk(SHAPE, CENTRE, 12)
    assert stops(walk([picture(here), picture(here, inside=0.65)], 0))[1] == (1, Stop.TISSUE)
    assert reached(walk([picture(here), picture(here, inside=0.75)], 0)) == [1]


def test_an_outline_without_an_edge_is_not_trusted() -> None:
    here = disk(SHAPE, CENTRE, 12)
    faint = picture(here, inside=0.72, outside=0.49)
    assert stops(walk([picture(here), faint], 0))[1] == (1, Stop.EDGE)
    assert reached(walk([picture(here), faint], 0, brakes=replace(BRAKES, edge=0.1))) == [1]


def test_an_unsure_answer_is_not_trusted() -> None:
    steps = walk(cylinder(range(15)), 7, brakes=replace(BRAKES, quality=0.999))
    assert stops(steps) == {-1: (6, Stop.UNSURE), 1: (8, Stop.UNSURE)}


def test_the_range_limit() -> None:
    steps = walk(cylinder(range(15)), 7, limit=2)
    assert reached(steps) == [6, 5, 8, 9]
    assert stops(steps) == {-1: (4, Stop.RANGE), 1: (10, Stop.RANGE)}
    assert reached(walk(cylinder(range(15)), 7, limit=0)) == []


def test_anchors_are_never_touched() -> None:
    grower = RegionGrower()
    steps = walk(cylinder(range(15)), 7, grower, anchors=frozenset({5, 12}))
    assert reached(steps) == [6, 8, 9, 10, 11]
    assert stops(steps) == {-1: (5, Stop.REACHED), 1: (12, Stop.REACHED)}
    assert grower.requests == 1 + 5


def test_each_slice_is_answered_when_it_is_asked_for() -> None:
    grower, slices = RegionGrower(), cylinder(range(15))
    first = grower.predict(SliceRequest(slices[7], strokes=(Stroke((CENTRE,)),)))
    steps = propagate(grower, lambda n: slices[n], len(slices), 7, first)
    next(steps)
    next(steps)
    assert grower.requests == 3
    steps.close()  # type: ignore[attr-defined]
    assert grower.requests == 3


def test_each_slice_starts_from_its_neighbour() -> None:
    slices = [picture(disk(SHAPE, (30, 30 + 3 * n), 12)) for n in range(8)]
    steps = walk([*slices], 3)
    for step in steps:
        if step.prediction is not None:
            assert iou(step.prediction.mask, disk(SHAPE, (30, 30 + 3 * step.index), 12)) > 0.9
    assert reached(steps) == [2, 1, 0, 4, 5, 6, 7]  # ends overlap too little with the start: only a chain gets there


def test_a_volume_upside_down_is_followed_alike() -> None:
    radii = (-1, 5, 7, 9, 12, 11, 10, 4, -1)
    slices = [picture(disk(SHAPE, CENTRE, radius)) for radius in radii]
    one, other = walk(slices, 4), walk(slices[::-1], 4)
    masks = {step.index: step.prediction.mask for step in one if step.prediction}
    mirrored = {8 - step.index: step.prediction.mask for step in other if step.prediction}
    assert masks.keys() == mirrored.keys()
    for index, mask in masks.items():
        np.testing.assert_array_equal(mask, mirrored[index])


def prediction(mask: NDArray[np.bool_], edge: float = 0.8, quality: float = 0.9) -> Prediction:
    outline = disk(SHAPE, CENTRE, 90)
    return Prediction(mask.astype(np.float32), (outline * edge).astype(np.float32), quality)


def test_edge_agreement_is_the_edge_along_the_outline() -> None:
    mask = disk(SHAPE, CENTRE, 10)
    edge = np.zeros(SHAPE, np.float32)
    edge[:, 40:] = 0.6
    half = edge_agreement(Prediction(mask.astype(np.float32), edge, 1.0))
    assert half == pytest.approx(0.3, abs=0.05)
    edge[~mask & ~disk(SHAPE, CENTRE, 12)] = 1.0  # far away does not count
    assert edge_agreement(Prediction(mask.astype(np.float32), edge, 1.0)) == pytest.approx(half, abs=0.01)
    assert edge_agreement(prediction(np.zeros(SHAPE, bool))) == 0.0


def test_reference_measures_the_inside() -> None:
    mask = disk(SHAPE, CENTRE, 10)
    assert Reference.of(prediction(mask), picture(mask, inside=0.7)) == Reference(
        pytest.approx(0.8), pytest.approx(0.7)
    )
    assert Reference.of(prediction(np.zeros(SHAPE, bool)), picture(mask)) == Reference(0.0, 0.0)


@pytest.mark.parametrize(
    ("radius", "wanted"), [(1, Stop.ENDED), (3, Stop.ENDED), (10, None), (15, None), (17, Stop.CHANGED)]
)
def test_brakes_on_the_area(radius: float, wanted: Stop | None) -> None:
    old, new = prediction(disk(SHAPE, CENTRE, 10)), prediction(disk(SHAPE, CENTRE, radius))
    reference = Reference(0.8, 0.5)
    assert brake(new, old, reference, reference, BRAKES) == wanted
