"""Laws of the crop: what goes to the network and comes back lies where it lay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgeflow_med.predictors.base import Stroke
from edgeflow_med.predictors.crop import (
    CLICK_RADIUS,
    MAX_STROKE_RADIUS,
    MIN_STROKE_RADIUS,
    Crop,
    densify,
    draw_prompts,
    stamp,
    triangle_filter,
)

lengths = st.integers(20, 90)
millimetres = st.floats(0.3, 4.0)


@st.composite
def crops(draw: st.DrawFn) -> Crop:
    shape = (draw(lengths), draw(lengths))
    centre = (draw(st.floats(0, shape[0] - 1)), draw(st.floats(0, shape[1] - 1)))
    return Crop.around(
        centre, draw(st.floats(8, 150)), draw(st.integers(24, 64)), shape, (draw(millimetres), draw(millimetres))
    )


def centres(crop: Crop, axis: int) -> np.ndarray:
    """Where the centres of the network's pixels lie, in pixels of the slice."""
    return crop.start[axis] + (np.arange(crop.size) + 0.5) * crop.step[axis]


def well_inside(crop: Crop, axis: int) -> np.ndarray:
    """Network pixels whose filters do not reach out of the slice."""
    reach, at = max(crop.step[axis], 1.0), centres(crop, axis)
    return (at - reach >= 0) & (at + reach <= crop.shape[axis] - 1)


@given(st.integers(1, 60), st.floats(-20, 60), st.floats(0.1, 7), st.integers(1, 50))
def test_weights_are_a_partition_of_unity(source: int, start: float, step: float, target: int) -> None:
    matrix = triangle_filter(source, start, step, target)
    at, reach = start + (np.arange(target) + 0.5) * step, max(step, 1.0)
    inside = (at - reach >= -0.5) & (at + reach <= source - 0.5)
    assert matrix.shape == (target, source)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix[inside].sum(1), 1, atol=1e-5)
    assert (matrix.sum(1) <= 1 + 1e-5).all()
    outside = (at + reach <= -1) | (at - reach >= source)
    assert not matrix[outside].any()


@given(crops(), st.floats(-3, 3), st.floats(-3, 3), st.floats(-50, 50))
def test_a_linear_image_stays_the_same_line(crop: Crop, slope: float, tilt: float, offset: float) -> None:
    rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]]
    patch = crop.extract(offset + slope * rows + tilt * columns)
    wanted = offset + slope * centres(crop, 0)[:, None] + tilt * centres(crop, 1)[None]
    inside = np.ix_(well_inside(crop, 0), well_inside(crop, 1))
    # Exact when magnifying; a triangle of broken width, sampled at integers, is off by up to 0.086 of a pixel.
    tolerance = 1e-3 + 0.09 * sum(abs(s) * (step > 1) for s, step in zip((slope, tilt), crop.step, strict=True))
    np.testing.assert_allclose(patch[inside], wanted[inside], atol=tolerance)


@given(crops(), millimetres)
def test_network_pixels_are_square_in_millimetres(crop: Crop, scale: float) -> None:
    again = Crop.around((10, 10), 30, 32, (80, 80), (scale, 3 * scale))
    assert again.step[0] * scale == pytest.approx(again.step[1] * 3 * scale)
    assert again.side == pytest.approx(30)
    assert crop.step[0] > 0


@given(crops())
def test_a_crop_lies_inside_the_slice_or_covers_it(crop: Crop) -> None:
    for start, step, length in zip(crop.start, crop.step, crop.shape, strict=True):
        low, high = start, start + crop.size * step
        if high - low <= length:
            assert low >= -0.5 - 1e-9
            assert high <= length - 0.5 + 1e-9
        else:
            assert low <= -0.5 + 1e-9
            assert high >= length - 0.5 - 1e-9


@given(st.floats(0, 59), st.floats(0, 79), st.floats(8, 200))
def test_a_crop_contains_its_centre(row: float, column: float, side: float) -> None:
    crop = Crop.around((row, column), side, 64, (60, 80), (1.0, 1.0))
    inside = crop.to_patch((row, column))
    assert all(-0.5 - 1e-9 <= v <= crop.size - 0.5 + 1e-9 for v in inside)


@given(crops(), st.integers(0, 2**32 - 1))
def test_a_mirrored_slice_gives_a_mirrored_patch(crop: Crop, seed: int) -> None:
    image = np.random.default_rng(seed).random(crop.shape).astype(np.float32)
    end = crop.start[1] + crop.size * crop.step[1]
    mirrored = Crop((crop.start[0], crop.shape[1] - 1 - end), crop.step, crop.size, crop.shape)
    patch = crop.extract(image)
    np.testing.assert_allclose(mirrored.extract(image[:, ::-1]), patch[:, ::-1], atol=1e-4)
    empty = np.zeros(crop.shape, np.float32)
    back, mirrored_back = crop.paste(patch, empty), mirrored.paste(patch[:, ::-1], empty)
    assume(np.abs(end - np.round(end)) > 1e-6)  # a border through pixel centres belongs to one side only
    np.testing.assert_allclose(mirrored_back, back[:, ::-1], atol=1e-4)


@given(crops())
def test_only_pixels_within_the_crop_are_pasted(crop: Crop) -> None:
    background = np.full(crop.shape, -7, np.float32)
    pasted = crop.paste(np.ones((crop.size, crop.size), np.float32), background)
    within = [
        (np.arange(length) >= start) & (np.arange(length) <= start + crop.size * step)
        for start, step, length in zip(crop.start, crop.step, crop.shape, strict=True)
    ]
    inside = within[0][:, None] & within[1][None]
    np.testing.assert_allclose(pasted[inside], 1, atol=1e-5)
    assert (pasted[~inside] == -7).all()
    assert (background == -7).all()


@given(crops(), st.floats(0, 6.28), st.floats(0, 6.28))
def test_there_and_back_keeps_what_the_network_can_resolve(crop: Crop, phase: float, turn: float) -> None:
    wave = 12 * max(*crop.step, 1.0)  # pixels of the slice
    rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]]
    image = np.sin(2 * np.pi / wave * (np.cos(turn) * rows + np.sin(turn) * columns) + phase).astype(np.float32)
    back = crop.paste(crop.extract(image), np.full(crop.shape, np.nan, np.float32))
    margin = [int(np.ceil(2.5 * max(step, 1.0))) for step in crop.step]
    low = [max(int(np.ceil(s)) + m, m) for s, m in zip(crop.start, margin, strict=True)]
    high = [
        min(int(s + crop.size * t) - m, n - m)
        for s, t, n, m in zip(crop.start, crop.step, crop.shape, margin, strict=True)
    ]
    assume(high[0] > low[0] and high[1] > low[1])
    part = (slice(low[0], high[0]), slice(low[1], high[1]))
    assert np.abs(back[part] - image[part]).max() < 0.15


@given(crops())
def test_a_mask_comes_back_in_its_place(crop: Crop) -> None:
    middle = [s + crop.size * t / 2 for s, t in zip(crop.start, crop.step, strict=True)]
    radius = 0.25 * crop.size * np.array(crop.step)
    assume((radius > 3).all())
    rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]]
    mask = ((rows - middle[0]) / radius[0]) ** 2 + ((columns - middle[1]) / radius[1]) ** 2 <= 1
    back = crop.paste(crop.extract(mask), np.zeros(crop.shape, np.float32)) >= 0.5
    assert (mask & back).sum() / (mask | back).sum() > 0.9


def test_a_point_is_drawn_where_the_image_shows_it() -> None:
    image = np.zeros((60, 80), np.float32)
    image[33, 21] = 1
    crop = Crop.around((30, 25), 25, 100, image.shape, (2.0, 1.0))
    patch = crop.extract(image)
    brightest = np.unravel_index(patch.argmax(), patch.shape)
    assert crop.to_patch((33, 21)) == pytest.approx(brightest, abs=2.0)
    guidance = draw_prompts([Stroke(((33.0, 21.0),))], crop)
    assert guidance[0][brightest] == 1


def test_a_click_is_a_disk_in_its_channel_whatever_the_zoom() -> None:
    for side in (32.0, 200.0):
        crop = Crop.around((100, 100), side, 128, (300, 300), (1.0, 1.0))
        guidance = draw_prompts([Stroke(((100.0, 100.0),)), Stroke(((90.0, 105.0),), positive=False)], crop)
        assert guidance.shape == (2, 128, 128)
        assert np.pi * CLICK_RADIUS**2 == pytest.approx(guidance[0].sum(), rel=0.1)
        assert np.pi * CLICK_RADIUS**2 == pytest.approx(guidance[1].sum(), rel=0.1)
        rows, columns = np.nonzero(guidance[1])
        assert (rows.mean(), columns.mean()) == pytest.approx(crop.to_patch((90, 105)), abs=0.5)


@pytest.mark.parametrize(
    ("width", "radius"), [(0.1, MIN_STROKE_RADIUS), (4.0, 4.0), (6.0, 6.0), (90.0, MAX_STROKE_RADIUS)]
)
def test_a_scribble_is_as_wide_as_it_was_drawn_within_limits(width: float, radius: float) -> None:
    crop = Crop.around((50, 50), 50, 100, (100, 100), (1.0, 1.0))  # two network pixels a pixel
    guidance = draw_prompts([Stroke(((40.0, 50.0), (60.0, 50.0)), width=width)], crop)
    middle = guidance[0, 50]
    assert abs(int(middle.sum()) - 2 * radius) <= 1
    assert not guidance[1].any()


@given(st.lists(st.tuples(st.floats(-40, 40), st.floats(-40, 40)), min_size=1, max_size=6))
def test_a_line_has_no_gaps_and_goes_through_its_points(points: list[tuple[float, float]]) -> None:
    dense = np.array(list(densify(points)))
    assert tuple(dense[0]) == points[0]
    assert np.abs(np.diff(dense, axis=0)).max(initial=0) <= 1 + 1e-9
    for point in points:
        assert np.abs(dense - point).max(1).min() < 1e-9


@given(st.floats(-20, 40), st.floats(-20, 40), st.floats(0, 9))
def test_a_stamp_is_every_pixel_within_reach(row: float, column: float, radius: float) -> None:
    channel = np.zeros((17, 23), np.float32)
    stamp(channel, (row, column), radius)
    rows, columns = np.mgrid[:17, :23]
    np.testing.assert_array_equal(channel > 0, (rows - row) ** 2 + (columns - column) ** 2 <= radius**2)


@given(crops(), st.integers(0, 5))
def test_a_part_of_the_slice_is_enough(crop: Crop, seed: int) -> None:
    image = np.random.default_rng(seed).random(crop.shape, np.float32)
    rows, columns = (triangle_filter(crop.shape[n], crop.start[n], crop.step[n], crop.size) for n in (0, 1))
    np.testing.assert_allclose(crop.extract(image), rows @ image @ columns.T, atol=1e-5)
    np.testing.assert_array_equal(crop.extract_region(image[crop.region]), crop.extract(image))


def test_a_whole_slice_is_taken_pixel_for_pixel() -> None:
    image = np.random.default_rng(0).random((24, 24), np.float32)
    np.testing.assert_allclose(Crop.whole(image.shape).extract(image), image, atol=1e-6)
