"""An answer to a measured line is no longer than the line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from edgeflow_med.measurements import convex_corners, farthest_pair
from edgeflow_med.predictors.base import Stroke
from edgeflow_med.predictors.diameter import (
    LONGER,
    MOST,
    crossed,
    ellipse,
    keep_to_diameter,
    longest,
    within_reach,
)
from edgeflow_med.predictors.strokes import box_stroke, line_stroke
from tests.region_growing import disk

SHAPE, MIDDLE = (120, 120), (60, 60)
LINE = line_stroke((60, 50), (60, 70))


def hill(steepness: float) -> np.ndarray:
    """A probability that falls with the distance from the middle and is 0.5 at a radius of 15."""
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    radius = np.hypot(rows - MIDDLE[0], columns - MIDDLE[1])
    return (1 / (1 + np.exp(steepness * (radius - 15)))).astype(np.float32)


def test_what_lies_within_reach_of_a_line() -> None:
    """From column 10 to column 30, give or take one; half way sqrt(21 ** 2 - 10 ** 2) / 2 = 9.2 rows twice as high."""
    near = within_reach(line_stroke((20, 10), (20, 30), (2.0, 1.0)), (40, 50), (2.0, 1.0))
    assert np.flatnonzero(near[20]).tolist() == list(range(9, 32))
    assert np.flatnonzero(near[:, 20]).tolist() == list(range(11, 30))


def test_an_answer_that_is_too_long_shrinks_until_it_fits() -> None:
    answer = keep_to_diameter(hill(0.4), (LINE,), (1, 1)) >= 0.5
    assert longest(answer, (1, 1)) == pytest.approx(20 * (1 + LONGER) + 1, abs=1)
    assert (answer & ~disk(SHAPE, MIDDLE, 11)).sum() == 0
    assert (disk(SHAPE, MIDDLE, 10) & ~answer).sum() == 0


def test_it_shrinks_only_so_far() -> None:
    sure = np.where(disk(SHAPE, MIDDLE, 15), expit(MOST + 1), 0).astype(np.float32)
    np.testing.assert_array_equal(
        keep_to_diameter(sure, (LINE,), (1, 1)) >= 0.5, (sure >= 0.5) & within_reach(LINE, SHAPE, (1, 1))
    )


def test_an_answer_that_fits_is_left_alone_but_for_what_lies_out_of_reach() -> None:
    answer = np.where(disk(SHAPE, MIDDLE, 9), 0.6, 0.4).astype(np.float32)
    apart = answer.copy()
    apart[10:14, 10:14] = 0.9
    np.testing.assert_array_equal(keep_to_diameter(apart, (LINE,), (1, 1)) >= 0.5, answer >= 0.5)
    np.testing.assert_array_equal(keep_to_diameter(apart, (Stroke(((60, 60),)),), (1, 1)), apart)


@pytest.mark.parametrize(
    "beyond", [Stroke(((60, 85),)), box_stroke((0, 0), (119, 119)), line_stroke((40, 60), (80, 60))]
)
def test_a_positive_prompt_out_of_reach_says_that_the_line_was_not_all(beyond: Stroke) -> None:
    np.testing.assert_array_equal(keep_to_diameter(hill(0.4), (LINE, beyond), (1, 1)), hill(0.4))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from([(1.0, 1.0), (2.0, 0.5), (0.7, 0.9)]))
def test_the_longest_distance_is_that_of_the_farthest_pixels(seed: int, spacing: tuple[float, float]) -> None:
    mask = np.random.default_rng(seed).random((20, 30)) > 0.97
    mask[3, 4] = True
    corners = convex_corners(np.argwhere(mask) * np.asarray(spacing) / min(spacing))
    true = farthest_pair(corners)[1]
    assert true * 0.999 <= longest(mask, spacing) <= true + 1e-6


def test_nothing_is_as_long_as_nothing() -> None:
    assert longest(np.zeros((4, 4), bool), (1, 1)) == 0


def test_two_lines_that_cross_are_axes_in_whatever_order() -> None:
    click, across, apart = Stroke(((60, 60),)), line_stroke((54, 60), (66, 60)), line_stroke((20, 20), (30, 20))
    for strokes in ((LINE, across), (across, LINE), (across, click, LINE, apart)):
        assert crossed(strokes) == (LINE, across)
    for strokes in ((), (LINE,), (LINE, click), (LINE, apart), (LINE, line_stroke((62, 52), (62, 68)))):
        assert crossed(strokes) is None


@pytest.mark.parametrize(("gap", "whether"), [(0.4, True), (2.0, False)])
def test_a_line_that_stops_just_short_of_another_crosses_it(gap: float, whether: bool) -> None:
    assert (crossed((LINE, line_stroke((60 + gap, 60), (72, 60)))) is not None) == whether


def test_of_several_axes_across_the_newest_counts() -> None:
    first, second = line_stroke((54, 60), (66, 60)), line_stroke((52, 61), (68, 61))
    assert crossed((LINE, first, second)) == (LINE, second)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 1.0)])
def test_an_ellipse_is_as_long_and_as_wide_as_its_axes(spacing: tuple[float, float]) -> None:
    axis, across = line_stroke((60, 30), (60, 90), spacing), line_stroke((48, 60), (68, 60), spacing)
    mask = ellipse(axis, across, SHAPE, spacing)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (rows[0], rows[-1]) == (48, 68)
    assert (columns[0], columns[-1]) == (30, 90)
    assert mask.sum() == pytest.approx(np.pi * 30 * 10, rel=0.03)


def test_an_ellipse_lies_across_its_axis_even_if_the_other_line_does_not() -> None:
    axis, across = line_stroke((40, 40), (80, 80)), line_stroke((60, 50), (60, 70))
    mask = ellipse(axis, across, SHAPE, (1, 1))
    assert mask[45, 45]
    assert not mask[45, 75]
    np.testing.assert_array_equal(mask, mask.T)
