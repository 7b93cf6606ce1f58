from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from edgeflow_med.predictors.base import Stroke
from edgeflow_med.predictors.obey import MARGIN, REACH, obey, voxels

SHAPE = (24, 30)
coordinates = st.tuples(st.floats(-2, SHAPE[0] + 1), st.floats(-2, SHAPE[1] + 1))
strokes = st.builds(
    Stroke, st.lists(coordinates, min_size=1, max_size=3).map(tuple), st.booleans(), st.sampled_from([0.0, 3.0])
)
Image = NDArray[np.float32]


def random_images(seed: int) -> tuple[Image, Image]:
    """A probability and an image."""
    rng = np.random.default_rng(seed)
    return rng.random(SHAPE).astype(np.float32), rng.random(SHAPE).astype(np.float32)


@given(st.lists(strokes, max_size=5), st.integers(0, 2**32 - 1), st.tuples(st.floats(0.3, 5), st.floats(0.3, 5)))
def test_every_prompt_is_obeyed_and_the_newest_wins(
    given_strokes: list[Stroke], seed: int, spacing: tuple[float, float]
) -> None:
    probability, image = random_images(seed)
    before = probability.copy()
    result = obey(probability, image, spacing, given_strokes)
    np.testing.assert_array_equal(probability, before)
    assert result.dtype == np.float32
    assert ((result >= 0) & (result <= 1)).all()
    last = {pixel: stroke.positive for stroke in given_strokes for pixel in voxels(stroke, SHAPE)}
    for pixel, positive in last.items():
        assert (result[pixel] >= 0.5) == positive


@given(st.lists(strokes, max_size=5), st.integers(0, 2**32 - 1))
def test_where_the_network_agrees_nothing_changes(given_strokes: list[Stroke], seed: int) -> None:
    probability, image = random_images(seed)
    for positive, agreed in ((True, np.maximum(probability, 0.5)), (False, np.minimum(probability, 0.49))):
        same_sign = [stroke for stroke in given_strokes if stroke.positive == positive]
        np.testing.assert_array_equal(obey(agreed, image, (1.0, 1.0), same_sign), agreed)


@given(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1), st.integers(0, 2**32 - 1))
def test_a_correction_stays_near(row: int, column: int, seed: int) -> None:
    probability, image = random_images(seed)
    result = obey(probability, image, (1.0, 1.0), [Stroke(((row, column),), positive=probability[row, column] < 0.5)])
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    far = np.hypot(rows - row, columns - column) > 4 * REACH
    np.testing.assert_array_equal(result[far], probability[far])


def test_a_correction_is_a_patch_of_what_looks_alike() -> None:
    image = np.zeros((21, 21), np.float32)
    image[:, 10:] = 1.0
    result = obey(np.full((21, 21), 0.45, np.float32), image, (1.0, 1.0), [Stroke(((10.0, 8.0),))])
    mask = result >= 0.5
    assert mask[10, 8]
    assert mask.sum() > 5  # not a lone pixel
    assert not mask[:, 10:].any()  # beyond the edge of the image
    np.testing.assert_array_equal(result[:, 10:], np.float32(0.45))
    np.testing.assert_allclose(result, result[::-1], atol=1e-6)  # as far up as down


@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(1, 22), st.integers(1, 28))
def test_a_correction_is_a_patch_whatever_the_noise_and_however_sure_the_network(
    seed: int, positive: bool, row: int, column: int
) -> None:
    _, noise = random_images(seed)
    sure = np.full(SHAPE, 0.001 if positive else 0.999, np.float32)
    result = obey(sure, noise, (1.0, 1.0), [Stroke(((row, column),), positive)])
    pieces, count = ndimage.label((result >= 0.5) == positive, np.ones((3, 3)))
    assert count == 1
    assert (pieces > 0).sum() >= 5
    assert pieces[row, column] == 1


@pytest.mark.parametrize("gap", [1, 2, 3])
def test_a_click_beside_the_answer_is_joined_to_it(gap: int) -> None:
    _, noise = random_images(gap)
    answer = np.full(SHAPE, 0.001, np.float32)
    answer[5:15, 5:15] = 0.999
    result = obey(answer, noise, (1.0, 1.0), [Stroke(((9.0, 14.0 + gap + 1),))])
    _, count = ndimage.label(result >= 0.5, np.ones((3, 3)))
    assert count == 1
    apart = obey(answer, noise, (1.0, 1.0), [Stroke(((9.0, 25.0),))])
    assert ndimage.label(apart >= 0.5, np.ones((3, 3)))[1] == 2  # a second piece is meant


def test_a_correction_reaches_as_far_in_millimetres_along_both_axes() -> None:
    flat = np.zeros((61, 61), np.float32)
    result = obey(flat + 0.49, flat, (1.0, 3.0), [Stroke(((30.0, 30.0),))])
    height, width = (result >= 0.5).any(1).sum(), (result >= 0.5).any(0).sum()
    assert width < height
    assert 3 * width == pytest.approx(height, abs=3)


def test_how_sure_a_corrected_pixel_is() -> None:
    flat = np.zeros((9, 9), np.float32)
    click = Stroke(((4.0, 4.0),))
    assert obey(flat, flat, (1, 1), [click])[4, 4] == pytest.approx(1 / (1 + np.exp(-MARGIN)))
    wrong = Stroke(((4.0, 4.0),), positive=False)
    assert obey(flat + 1, flat, (1, 1), [wrong])[4, 4] == pytest.approx(1 / (1 + np.exp(MARGIN)))


def test_the_pixels_of_a_stroke() -> None:
    assert voxels(Stroke(((2.4, 3.6),)), SHAPE) == [(2, 4)]
    assert voxels(Stroke(((-2.0, 1.0), (2.0, 1.0))), SHAPE) == [(0, 1), (1, 1), (2, 1)]
    assert voxels(Stroke(((90.0, 1.0),)), SHAPE) == []
    zigzag = voxels(Stroke(((0.0, 0.0), (3.0, 3.0), (0.0, 0.0))), SHAPE)
    assert zigzag == [(0, 0), (1, 1), (2, 2), (3, 3)]
