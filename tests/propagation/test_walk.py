"""Propagation on volumes made here, with a predictor whose answers can be told beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeflow_med.errors import UsageError
from edgeflow_med.predictors.base import Prediction, SliceRequest, Stroke
from edgeflow_med.propagation import Brakes, SliceStep, Stop, propagate, walk
from edgeflow_med.propagation.brakes import DEFAULT
from tests.region_growing import RegionGrower, disk, iou, picture

SHAPE = (64, 72)
CENTRE = (30.0, 40.0)
Picture = NDArray[np.float32]


def annotate(slices: Sequence[Picture], start: int, grower: RegionGrower | None = None) -> Prediction:
    """Click on the middle of the structure."""
    return (grower or RegionGrower()).predict(SliceRequest(slices[start], strokes=(Stroke((CENTRE,)),)))


def run(slices: Sequence[Picture], *starts: int, **options: object) -> list[SliceStep]:
    """Click on the middle of the structure and propagate."""
    known = {start: annotate(slices, start) for start in starts}
    return list(propagate(RegionGrower(), lambda n: slices[n], len(slices), known, **options))  # type: ignore[arg-type]


def reached(steps: Sequence[SliceStep]) -> list[int]:
    return [step.index for step in steps if step.prediction is not None]


def stops(steps: Sequence[SliceStep]) -> dict[int, tuple[int, Stop | None]]:
    """Direction to where and why it stopped."""
    return {step.direction: (step.index, step.stop) for step in steps if step.prediction is None}


def cylinder(filled: range, count: int = 15, radius: float = 12) -> list[Picture]:
    body, empty = picture(disk(SHAPE, CENTRE, radius)), np.full(SHAPE, 0.1, np.float32)
    return [body if n in filled else empty for n in range(count)]


def test_a_cylinder_is_filled_to_both_ends_and_not_beyond() -> None:
    steps = run(cylinder(range(3, 11)), 6)
    assert reached(steps) == [7, 8, 9, 10, 5, 4, 3] or reached(steps) == [5, 4, 3, 7, 8, 9, 10]
    assert stops(steps) == {-1: (2, Stop.ENDED), 1: (11, Stop.ENDED)}
    truth = disk(SHAPE, CENTRE, 12)
    for step in steps:
        if step.prediction is not None:
            assert iou(step.prediction.mask, truth) > 0.9
            assert step.stop is None
            assert step.direction == np.sign(step.index - 6)


def test_a_cone_is_followed_to_its_tip() -> None:
    slices = [picture(disk(SHAPE, CENTRE, radius)) for radius in (16, 14, 12, 10, 8, 6, 4, 2, -1, -1)]
    steps = run(slices, 0)
    assert reached(steps) == [1, 2, 3, 4, 5, 6]  # on 7 it has a quarter of the area, on 8 it is gone
    assert stops(steps)[1][0] == 7
    areas = [int(step.prediction.mask.sum()) for step in steps if step.prediction is not None]
    assert areas == sorted(areas, reverse=True)


def test_the_ends_of_the_volume() -> None:
    steps = run(cylinder(range(15)), 13)
    assert sorted(reached(steps)) == [*range(13), 14]
    assert stops(steps) == {-1: (-1, Stop.VOLUME), 1: (15, Stop.VOLUME)}


def test_a_structure_that_is_gone_is_not_followed() -> None:
    here, away = disk(SHAPE, CENTRE, 12), disk(SHAPE, (30, 12), 9)
    steps = run([picture(here), picture(here), picture(away)], 0)
    assert reached(steps) == [1]
    assert stops(steps)[1] == (2, Stop.ENDED)


def test_a_structure_that_runs_into_another_is_not_followed() -> None:
    here = disk(SHAPE, CENTRE, 10)
    merged = here | disk(SHAPE, (30, 20), 18)
    steps = run([picture(here), picture(here), picture(merged)], 0)
    assert reached(steps) == [1]
    assert stops(steps)[1] == (2, Stop.CHANGED)


def test_a_models_own_brakes_are_used_and_how_likely_the_structure_is_is_told() -> None:
    slices = cylinder(range(15))
    cautious = RegionGrower()
    cautious.brakes = asdict(replace(DEFAULT, bias=-20.0))
    steps = list(propagate(cautious, slices.__getitem__, 15, {7: annotate(slices, 7)}))
    assert reached(steps) == []
    for step in steps:
        assert step.presence is not None
        assert step.presence < 0.5
        assert step.why.endswith(f"({step.presence:.0%} likely that it goes on; below 50% it stops)")
    assert [step.why for step in run(slices, 7, limit=2) if step.stop] == ["the range limit is reached"] * 2
    assert all(step.presence > 0.5 for step in run(slices, 7) if step.prediction and step.presence is not None)


def test_strict_brakes_stop_at_once() -> None:
    steps = run(cylinder(range(15)), 7, brakes=Brakes(presence=0.9999))
    assert {direction: index for direction, (index, _) in stops(steps).items()} == {-1: 6, 1: 8}


@pytest.mark.parametrize("limits", [{"limit": 2}, {"limit_mm": 7.0, "thickness": 3.0}, {"limit": 2, "limit_mm": 90.0}])
def test_the_range_limit(limits: dict[str, float]) -> None:
    steps = run(cylinder(range(15)), 7, **limits)
    assert sorted(reached(steps)) == [5, 6, 8, 9]
    assert stops(steps) == {-1: (4, Stop.RANGE), 1: (10, Stop.RANGE)}
    assert reached(run(cylinder(range(15)), 7, limit=0)) == []


def test_one_direction() -> None:
    assert reached(run(cylinder(range(15)), 7, directions=(1,))) == list(range(8, 15))
    assert reached(run(cylinder(range(15)), 7, directions=[-1])) == list(range(6, -1, -1))


def test_anchors_are_never_touched() -> None:
    steps = run(cylinder(range(15)), 7, anchors=frozenset({5, 12}))
    assert sorted(reached(steps)) == [6, 8, 9, 10, 11]
    assert stops(steps) == {-1: (5, Stop.REACHED), 1: (12, Stop.REACHED)}


def test_a_slice_known_to_be_empty_is_an_end() -> None:
    slices = cylinder(range(15))
    nothing = Prediction(np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32), 1.0)
    known = {7: annotate(slices, 7), 10: nothing}
    steps = list(propagate(RegionGrower(), slices.__getitem__, 15, known))
    assert sorted(reached(steps)) == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert stops(steps)[1] == (10, Stop.REACHED)


def test_between_two_known_slices_each_slice_is_blended() -> None:
    slices = cylinder(range(15))
    steps = run(slices, 4, 9)
    last = {step.index: step for step in steps if step.prediction is not None}
    assert sorted(last) == [n for n in range(15) if n not in (4, 9)]
    assert {n for n, step in last.items() if step.direction == 0} == {5, 6, 7, 8}
    first_seen = [step.direction for step in steps if step.index in range(5, 9) and step.prediction is not None]
    assert first_seen == [1, 1, 1, 1, 0, 0, 0, 0]  # a picture at once, then the better one
    for step in last.values():
        assert step.prediction is not None
        assert iou(step.prediction.mask, disk(SHAPE, CENTRE, 12)) > 0.9


def test_a_corrected_slice_touches_only_what_lies_next_to_it() -> None:
    slices = cylinder(range(15))
    assert set(reached(run(slices, 3, 7, 11, starts=[7]))) == {4, 5, 6, 8, 9, 10}
    assert set(reached(run(slices, 3, 7, 11, starts=[3]))) == {0, 1, 2, 4, 5, 6}
    assert set(reached(run(slices, 3, 7, 11, starts=[11], directions=[1]))) == {12, 13, 14}


def test_nobody_is_asked_ahead_and_closing_leaves_what_is_done() -> None:
    slices = cylinder(range(15))
    asked = 0
    steps = walk(slices.__getitem__, 15, {7: annotate(slices, 7)})
    grower = RegionGrower()
    item, done = next(steps), []
    while len(done) < 3:
        if isinstance(item, SliceRequest):
            asked += 1
            item = steps.send(grower.predict(item))
        else:
            done.append(item.index)
            item = next(steps)
    steps.close()
    assert asked == 3
    assert len(set(done)) == 3


def test_pixels_of_others_are_passed_on_and_stay_free() -> None:
    slices = cylinder(range(15))
    others = np.zeros(SHAPE, bool)
    others[:, 44:] = True
    steps = run(slices, 7, excluded=lambda n: others if n > 7 else None)
    for step in steps:
        if step.prediction is not None:
            assert bool((step.prediction.mask & others).any()) == (step.index < 7)


def test_each_slice_starts_from_its_neighbour() -> None:
    slices = [picture(disk(SHAPE, (30, 30 + 3 * n), 12)) for n in range(8)]
    steps = run(slices, 3)
    for step in steps:
        if step.prediction is not None:
            assert iou(step.prediction.mask, disk(SHAPE, (30, 30 + 3 * step.index), 12)) > 0.9
    assert sorted(reached(steps)) == [0, 1, 2, 4, 5, 6, 7]  # the ends hardly overlap with the start


@pytest.mark.parametrize("starts", [(4,), (2, 6)])
def test_a_volume_upside_down_is_followed_alike(starts: tuple[int, ...]) -> None:
    radii = (-1, 5, 7, 9, 12, 11, 10, 4, -1)
    slices = [picture(disk(SHAPE, CENTRE, radius)) for radius in radii]
    one, other = run(slices, *starts), run(slices[::-1], *(8 - n for n in starts))
    masks = {step.index: step.prediction.mask for step in one if step.prediction}
    mirrored = {8 - step.index: step.prediction.mask for step in other if step.prediction}
    assert masks.keys() == mirrored.keys()
    for index, mask in masks.items():
        np.testing.assert_array_equal(mask, mirrored[index])


@pytest.mark.parametrize(
    "options", [{"limit": -1}, {"limit_mm": float("nan")}, {"directions": (2,)}, {"directions": ()}, {"starts": [3]}]
)
def test_what_cannot_be_used_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"give|start from"):
        run(cylinder(range(15)), 7, **options)


def test_a_slice_outside_the_volume_is_refused() -> None:
    slices = cylinder(range(15))
    with pytest.raises(UsageError, match="outside the volume of 15 slices"):
        next(walk(slices.__getitem__, 15, {15: annotate(slices, 7)}))
