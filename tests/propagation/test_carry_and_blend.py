"""How an answer gets to the next slice, and how two answers become one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from edgeflow_med.predictors.base import Prediction
from edgeflow_med.propagation.blend import between, blend
from edgeflow_med.propagation.carry import carry, draw, join
from tests.region_growing import disk, iou

SHAPE = (80, 90)


def textured(shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(120, 130)), 3.0)
    moved = ndimage.shift(noise, shift, order=3)[20:100, 20:110]
    return ((moved - noise.min()) / np.ptp(noise)).astype(np.float32)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (4.0, -3.0), (-6.0, 0.0)])
def test_an_answer_moves_with_the_image(shift: tuple[float, float]) -> None:
    here = disk(SHAPE, (40, 45), 12)
    there = disk(SHAPE, (40 + shift[0], 45 + shift[1]), 12)
    carried = carry(draw(here), textured(), textured(shift))
    assert iou(carried.mask, there) > 0.9
    assert carried.probability.dtype == carried.edge.dtype == np.float32


def test_an_empty_answer_stays_empty() -> None:
    nothing = Prediction(np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32), 0.4)
    carried = carry(nothing, textured(), textured())
    assert not carried.mask.any()
    assert carried.edge.max() == 0.0


def test_a_drawn_mask_keeps_its_place_and_has_an_edge_along_its_outline() -> None:
    mask = disk(SHAPE, (40, 45), 12)
    drawn = draw(mask)
    assert iou(drawn.mask, mask) > 0.95
    assert drawn.edge[40, 57] > 0.5
    assert drawn.edge[40, 45] < 0.01


def test_small_structures_do_not_melt() -> None:
    for radius in (0.5, 1.0, 1.5, 2.0, 4.0):
        mask = disk(SHAPE, (40, 45), radius)
        assert draw(mask).mask[mask].all()
        assert carry(draw(mask), textured(), textured()).mask.any()


def test_joining_is_the_mean_except_on_others() -> None:
    carried, answer = draw(disk(SHAPE, (40, 40), 12)), draw(disk(SHAPE, (40, 46), 12))
    others = np.zeros(SHAPE, bool)
    others[:, 45:] = True
    answer.probability[others] = 0.1
    joined = join(carried, answer, others)
    assert not joined.mask[others].any()
    free = ~others
    kept = carried.probability.clip(0.15, 0.85)
    np.testing.assert_allclose(joined.probability[free], (kept + answer.probability)[free] / 2)


def test_a_network_that_is_sure_has_its_way() -> None:
    carried, sure = draw(disk(SHAPE, (40, 40), 12)), disk(SHAPE, (40, 46), 12)
    answer = Prediction(np.where(sure, 0.97, 0.03).astype(np.float32), np.zeros(SHAPE, np.float32), 0.9)
    np.testing.assert_array_equal(join(carried, answer).mask, sure)


def test_a_mask_does_not_flow_into_what_looks_different() -> None:
    bright = disk(SHAPE, (40, 40), 10)
    image, neighbour = np.where(bright, 0.8, 0.0).astype(np.float32), np.zeros(SHAPE, np.float32)
    neighbour[disk(SHAPE, (40, 43), 10)] = 0.8
    carried = carry(draw(bright), image, neighbour)
    assert not (carried.mask & ~disk(SHAPE, (40, 43), 11) & ~bright).any()


def test_shape_between_two_disks() -> None:
    one, other = disk(SHAPE, (30, 30), 8), disk(SHAPE, (50, 60), 16)
    for position in (0.0, 0.25, 0.5, 1.0):
        wanted = disk(SHAPE, (30 + 20 * position, 30 + 30 * position), 8 + 8 * position)
        assert iou(between(one, other, position) >= 0.5, wanted) > 0.9


def test_blending_leans_to_the_nearer_and_to_the_better() -> None:
    one, other = draw(disk(SHAPE, (40, 45), 8), 0.9), draw(disk(SHAPE, (40, 45), 16), 0.5)

    def area(expected: tuple[float, float], position: float) -> int:
        return int(blend(one, other, expected, position).mask.sum())

    assert area((0.8, 0.8), 0.2) < area((0.8, 0.8), 0.5) < area((0.8, 0.8), 0.8)
    assert area((0.9, 0.5), 0.5) < area((0.8, 0.8), 0.5) < area((0.5, 0.9), 0.5)
    swapped = blend(other, one, (0.5, 0.9), 0.7)
    np.testing.assert_allclose(swapped.probability, blend(one, other, (0.9, 0.5), 0.3).probability, atol=1e-6)


def test_blending_with_nothing() -> None:
    one = draw(disk(SHAPE, (40, 45), 8))
    nothing = Prediction(np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32), 0.5)
    assert blend(one, nothing, (0.8, 0.8), 0.1).mask.any()
    assert not blend(one, nothing, (0.8, 0.8), 0.9).mask.any()
