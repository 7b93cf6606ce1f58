"""Robot users against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from edgeflow_med.predictors.base import Stroke
from edgeflow_med.predictors.strokes import TRIM, box_corners
from edgeflow_med.simulation import ROBOTS, Boxes, Clicks, Lines, NoisyClicks, RobotUser, Scribbles

SHAPE = (40, 50)
NOTHING = np.zeros(SHAPE, bool)


def block(r0: int, r1: int, c0: int, c1: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[r0:r1, c0:c1] = True
    return mask


def disc(row: float, column: float, radius: float) -> np.ndarray:
    r, c = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (r - row) ** 2 + (c - column) ** 2 <= radius**2


def click(row: float, column: float, positive: bool = True) -> Stroke:
    return Stroke(((float(row), float(column)),), positive)


def inside(stroke: Stroke, region: np.ndarray) -> bool:
    return all(region[round(r), round(c)] for r, c in stroke.points)


# --- clicks ---------------------------------------------------------------------------------------------------------


def test_first_click_is_the_middle_of_the_target():
    assert Clicks().next_prompt(block(10, 19, 20, 29), NOTHING, ()) == click(14, 24)


def test_deepest_is_not_the_largest():
    """A 3 x 40 bar has more pixels than a 7 x 7 square, but the square is deeper."""
    target = block(2, 5, 5, 45) | block(20, 27, 30, 37)
    assert Clicks().next_prompt(target, NOTHING, ()) == click(23, 33)


def test_wrongly_included_region_gets_a_negative_click():
    target, answer = block(10, 20, 10, 20), block(10, 20, 10, 20) | block(25, 34, 30, 39)
    assert Clicks().next_prompt(target, answer, (click(14, 14),)) == click(29, 34, positive=False)


def test_deeper_of_the_two_errors_comes_first():
    target, answer = block(10, 21, 10, 21), block(28, 33, 30, 35)
    assert Clicks().next_prompt(target, answer, ()) == click(15, 15)


def test_equally_deep_errors_go_to_the_wrongly_included_region():
    target, answer = block(5, 10, 5, 10), block(25, 30, 25, 30)
    assert Clicks().next_prompt(target, answer, ()) == click(27, 27, positive=False)


def test_border_of_the_image_counts_as_a_border():
    """In the corner the deepest pixel is in the middle of the block, not at the corner."""
    assert Clicks().next_prompt(block(0, 9, 0, 9), NOTHING, ()) == click(4, 4)


def test_clicked_pixels_are_not_clicked_again():
    target = block(10, 13, 10, 15)  # depth 2 along (11, 11), (11, 12), (11, 13)
    first = Clicks().next_prompt(target, NOTHING, ())
    assert first == click(11, 11)
    assert Clicks().next_prompt(target, NOTHING, (first,)) == click(11, 12)


def test_coarse_rows_weigh_more():
    """5 rows of 3 mm are 15 mm high, 9 columns of 1 mm 9 mm wide: inner rows are equally deep, the first one wins."""
    target = block(10, 15, 10, 19)
    assert Clicks().next_prompt(target, NOTHING, (), spacing=(3.0, 1.0)) == click(11, 14)
    assert Clicks().next_prompt(target, NOTHING, (), spacing=(1.0, 1.0)) == click(12, 12)


@pytest.mark.parametrize("name", ROBOTS)
def test_nothing_wrong_nothing_to_say(name):
    robot = ROBOTS[name].make(0)
    assert isinstance(robot, RobotUser)
    assert robot.next_prompt(disc(20, 20, 8), disc(20, 20, 8), ()) is None


@pytest.mark.parametrize("name", ROBOTS)
def test_every_wrong_pixel_already_pointed_at(name):
    target = block(10, 11, 10, 12)
    assert ROBOTS[name].make(0).next_prompt(target, NOTHING, (click(10, 10), click(10, 11))) is None


# --- a box or a line, then clicks ----------------------------------------------------------------------------------


def test_without_jitter_the_corners_of_a_box_are_the_outermost_pixels():
    box = Boxes(jitter=0).next_prompt(block(10, 30, 15, 45), NOTHING, ())
    assert box.closed
    assert box_corners(box) == ((10.0, 15.0), (29.0, 44.0))


@pytest.mark.parametrize("seed", range(20))
def test_jitter_moves_every_side_by_up_to_a_twentieth_of_the_length_across_it(seed):
    box = Boxes(seed).next_prompt(block(10, 30, 5, 45), NOTHING, ())
    moved = np.abs(np.array(box_corners(box)) - [[10, 5], [29, 44]])
    assert (moved <= [1.0, 2.0]).all()
    assert moved.any()


def test_a_box_stays_on_the_slice():
    full = ~NOTHING
    corners = [box_corners(Boxes(seed).next_prompt(full, NOTHING, ())) for seed in range(20)]
    assert np.min(corners) >= 0
    assert np.max(corners, axis=(0, 1)).tolist() <= [39, 49]


def test_without_jitter_a_line_is_the_longest_diameter_in_millimetres():
    """Rows are 2 mm apart: of a block of 20 x 30 mm the diagonal, of one of 20 x 4 pixels, 40 x 4 mm, its length."""
    line = Lines(jitter=0).next_prompt(block(10, 20, 10, 40), NOTHING, (), (2.0, 1.0))
    (r0, c0), (r1, c1) = line.points
    assert (abs(r1 - r0), abs(c1 - c0)) == pytest.approx((9 * (1 - 2 * TRIM), 29 * (1 - 2 * TRIM)))
    (r0, _), (r1, _) = Lines(jitter=0).next_prompt(block(10, 30, 10, 14), NOTHING, (), (2.0, 1.0)).points
    assert abs(r1 - r0) == pytest.approx(19 * (1 - 2 * TRIM))


def test_a_line_is_drawn_through_the_largest_piece():
    line = Lines(jitter=0).next_prompt(block(2, 4, 2, 4) | block(20, 24, 10, 40), NOTHING, ())
    assert all(20 <= row <= 23 for row, _ in line.points)


@pytest.mark.parametrize("robot", [Boxes(3), Lines(3)])
def test_clicks_follow(robot):
    target, answer = disc(20, 20, 8), disc(20, 20, 5)
    first = robot.next_prompt(target, NOTHING, ())
    assert len(first.points) > 1
    assert robot.next_prompt(target, answer, (first,)) == Clicks().next_prompt(target, answer, (first,))
    assert robot.next_prompt(target, answer, ()) == Clicks().next_prompt(target, answer, ())


def test_a_box_can_be_all_there_is_to_say():
    robot = Boxes(corrects=False)
    box = robot.next_prompt(disc(20, 20, 8), NOTHING, ())
    assert robot.next_prompt(disc(20, 20, 8), NOTHING, (box,)) is None
    assert robot.next_prompt(NOTHING, NOTHING, ()) is None


# --- noisy clicks ---------------------------------------------------------------------------------------------------


def test_noisy_clicks_are_seeded_scattered_and_inside():
    target = disc(20, 25, 12)
    clicks = [NoisyClicks(seed).next_prompt(target, NOTHING, ()) for seed in range(200)]
    assert clicks == [NoisyClicks(seed).next_prompt(target, NOTHING, ()) for seed in range(200)]
    assert all(inside(stroke, target) for stroke in clicks)
    offsets = np.array([stroke.points[0] for stroke in clicks]) - (20, 25)
    assert abs(offsets.mean(axis=0)).max() < 1.5
    assert 4.0 < offsets.std() < 6.5  # half of the depth 12, less what fell outside


def test_noisy_clicks_differ_from_one_to_the_next():
    target = disc(20, 25, 12)
    first = NoisyClicks(3).next_prompt(target, NOTHING, ())
    assert NoisyClicks(3).next_prompt(target, NOTHING, (first,)) != first


def test_noisy_click_stays_in_its_own_region():
    """The small region beside the deepest one is never hit by mistake."""
    deep, other = disc(20, 15, 8), disc(20, 28, 3)
    clicks = [NoisyClicks(seed, scatter=2.0).next_prompt(deep | other, NOTHING, ()) for seed in range(100)]
    assert all(inside(stroke, deep) for stroke in clicks)


# --- scribbles ------------------------------------------------------------------------------------------------------

CENTRE, WOBBLE, CONTOUR = range(3)


def scribble_of(kind: int, target: np.ndarray, answer: np.ndarray = NOTHING, skip: int = 0) -> Stroke:
    """A stroke of one kind: the first seed whose generator draws that kind."""
    seeds = (seed for seed in range(10_000) if np.random.default_rng([seed, 0]).integers(3) == kind)
    for _ in range(skip):
        next(seeds)
    return Scribbles(next(seeds)).next_prompt(target, answer, ())


def test_centre_line_of_a_bar_runs_along_its_middle_row():
    stroke = scribble_of(CENTRE, block(15, 22, 5, 45))
    middle = [(r, c) for r, c in stroke.points if 10 <= c < 40]
    assert {r for r, _ in middle} == {18.0}
    assert len({c for _, c in middle}) == 30
    assert stroke.width == 3.0


def test_contour_stroke_keeps_its_distance():
    target = disc(20, 25, 15)
    depth = ndimage.distance_transform_edt(target)
    for skip in range(10):
        stroke = scribble_of(CONTOUR, target, skip=skip)
        depths = np.array([depth[round(r), round(c)] for r, c in stroke.points])
        assert np.abs(depths - 3.0).mean() < 1.0


def test_wobble_is_longer_than_the_straight_way():
    target = disc(20, 25, 18)
    strokes = [np.array(scribble_of(WOBBLE, target, skip=skip).points) for skip in range(20)]
    ways = [np.linalg.norm(np.diff(points, axis=0), axis=1).sum() for points in strokes if len(points) > 10]
    straight = [np.linalg.norm(points[-1] - points[0]) for points in strokes if len(points) > 10]
    assert sum(ways) > 1.15 * sum(straight)


def test_region_too_small_for_a_stroke_gets_a_click():
    assert scribble_of(CENTRE, block(10, 11, 10, 12)) == click(10, 10)


def test_pen_is_thin_in_a_thin_region():
    stroke = scribble_of(CENTRE, block(10, 11, 5, 30))
    assert stroke.width == 1.0
    assert {r for r, _ in stroke.points} == {10.0}


@pytest.mark.parametrize("kind", [CENTRE, WOBBLE, CONTOUR])
def test_regions_of_a_few_pixels_get_a_prompt_too(kind: int) -> None:
    for height, width in ((1, 1), (1, 2), (2, 2), (1, 3), (3, 2)):
        target = block(10, 10 + height, 10, 10 + width)
        for skip in range(8):
            stroke = scribble_of(kind, target, skip=skip)
            assert all(target[round(row), round(column)] for row, column in stroke.points)


def test_negative_scribble_lies_in_what_was_wrongly_included():
    target, answer = disc(20, 12, 8), disc(20, 12, 8) | block(5, 35, 30, 42)
    for seed in range(10):
        stroke = Scribbles(seed).next_prompt(target, answer, (click(20, 12),))
        assert not stroke.positive
        assert inside(stroke, answer & ~target)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from([(1.0, 1.0), (3.3, 0.9), (0.5, 1.0)]))
def test_every_prompt_lies_in_one_connected_error_region_of_its_sign(seed, spacing):
    rng = np.random.default_rng(seed)
    target, answer = (ndimage.gaussian_filter(rng.normal(size=(2, *SHAPE)), (0, 3, 3)) > 0.05).astype(bool)
    for kind in ROBOTS.values():
        history: tuple[Stroke, ...] = ()
        for _ in range(3):
            stroke = kind.make(seed).next_prompt(target, answer, history, spacing)
            assert stroke is not None
            region = target & ~answer if stroke.positive else answer & ~target
            assert inside(stroke, region)
            labels, _ = ndimage.label(region, np.ones((3, 3)))
            assert len({labels[round(r), round(c)] for r, c in stroke.points}) == 1
            steps = np.abs(np.diff(np.array(stroke.points), axis=0))
            assert not steps.size or steps.max() == 1.0  # connected: never jumps
            history += (stroke,)
