"""The choice of crops, shown with a predictor whose answers can be told beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow_med.predictors.base import Prediction, Predictor, SliceRequest, Stroke
from edgeflow_med.predictors.crop import Crop
from edgeflow_med.predictors.strokes import box_stroke, line_stroke
from edgeflow_med.predictors.zoom import Square, SquareAnswer, ZoomPolicy, expected_iou, runs_out
from tests.region_growing import RegionGrower, disk, iou, picture


def click(row: float, column: float, positive: bool = True) -> Stroke:
    return Stroke(((row, column),), positive)


def test_the_toy_is_a_predictor() -> None:
    assert isinstance(RegionGrower(), Predictor)


@pytest.mark.parametrize(
    ("shape", "centre", "radius"),
    [((300, 300), (120, 200), 5), ((300, 300), (150, 150), 60), ((512, 512), (256, 256), 180), ((40, 52), (20, 30), 9)],
)
def test_small_and_large_objects_come_back_whole(
    shape: tuple[int, int], centre: tuple[int, int], radius: float
) -> None:
    truth, grower = disk(shape, centre, radius), RegionGrower()
    answer = grower.predict(SliceRequest(picture(truth), strokes=(click(*centre),)))
    assert answer.probability.shape == answer.edge.shape == shape
    assert iou(answer.mask, truth) > 0.9
    ring = disk(shape, centre, radius + 1.5) & ~disk(shape, centre, radius - 1.5)
    assert answer.edge[ring].mean() > 0.3  # whatever the zoom
    assert answer.edge[~ring].mean() < 0.1 * answer.edge[ring].mean()
    assert 1 <= len(grower.squares) <= 3


def test_a_small_object_is_magnified_on_the_second_look() -> None:
    truth, grower = disk((300, 300), (120, 200), 5), RegionGrower()
    grower.predict(SliceRequest(picture(truth), strokes=(click(120, 200),)))
    first, second = ((image > 0.5).sum() for image, _, _ in grower.squares)
    assert second > 20 * first  # 192 pixels across, then 32


def test_an_object_that_runs_out_of_the_crop_is_looked_at_again_from_farther() -> None:
    truth, grower = disk((512, 512), (256, 256), 180), RegionGrower()
    grower.predict(SliceRequest(picture(truth), strokes=(click(256, 256),)))
    shares = [(image > 0.5).mean() for image, _, _ in grower.squares]
    assert shares[0] > 0.99
    assert shares[-1] < 0.6


def test_anisotropic_pixels_are_seen_square() -> None:
    rows, columns = np.mgrid[:60, :200]
    truth = ((rows - 30) * 4.0) ** 2 + (columns - 100) ** 2 <= 40**2  # a disk in millimetres
    grower = RegionGrower()
    answer = grower.predict(SliceRequest(picture(truth), (4.0, 1.0), (click(30, 100),)))
    assert iou(answer.mask, truth) > 0.9
    seen = grower.squares[-1][0] > 0.5
    assert seen.any(1).sum() == pytest.approx(seen.any(0).sum(), rel=0.1)


@given(st.integers(8, 90), st.integers(8, 110), st.integers(2, 30), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_mirrored_slice_gets_a_mirrored_answer(row: int, column: int, radius: int, upside_down: bool) -> None:
    shape = (99, 119)
    image, axis = picture(disk(shape, (row, column), radius)), 0 if upside_down else 1
    mirrored = (98 - row, column) if upside_down else (row, 118 - column)
    one = RegionGrower().predict(SliceRequest(image, strokes=(click(row, column),)))
    other = RegionGrower().predict(SliceRequest(np.flip(image, axis), strokes=(click(*mirrored),)))
    np.testing.assert_allclose(np.flip(other.probability, axis), one.probability, atol=1e-3)


@given(
    st.lists(st.tuples(st.integers(0, 49), st.integers(0, 69), st.booleans()), min_size=1, max_size=6),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=30, deadline=None)
def test_every_click_is_obeyed(clicks: list[tuple[int, int, bool]], seed: int) -> None:
    image = np.random.default_rng(seed).random((50, 70)).astype(np.float32)
    answer = RegionGrower(ZoomPolicy(size=64)).predict(SliceRequest(image, strokes=tuple(click(*c) for c in clicks)))
    for (row, column), positive in {(r, c): p for r, c, p in clicks}.items():
        assert answer.mask[row, column] == positive


def test_the_last_answer_is_handed_on_and_sets_the_crop() -> None:
    truth = disk((300, 300), (120, 200), 20)
    image = picture(truth)
    first = RegionGrower().predict(SliceRequest(image, strokes=(click(120, 200),)))
    grower = RegionGrower()
    strokes = (click(120, 200), click(120, 215, positive=False))
    second = grower.predict(SliceRequest(image, strokes=strokes, previous=first))
    assert len(grower.squares) == 1
    _, previous, guidance = grower.squares[0]
    side = ZoomPolicy().expansion * 41
    assert (previous[0] >= 0.5).sum() == pytest.approx(truth.sum() * (256 / side) ** 2, rel=0.1)
    assert previous[1].max() > 0.3
    assert guidance[0].any()
    assert guidance[1].any()
    assert not second.mask[120, 215]
    assert second.mask[120, 200]


def test_a_first_look_has_no_previous_state() -> None:
    grower = RegionGrower()
    grower.predict(SliceRequest(np.zeros((50, 60), np.float32), strokes=(click(20, 20),)))
    assert not any(previous.any() for _, previous, _ in grower.squares)


def test_where_nothing_is_found_only_the_click_is_foreground() -> None:
    answer = RegionGrower().predict(SliceRequest(np.zeros((50, 60), np.float32), strokes=(click(20, 30),)))
    assert answer.mask[20, 30]
    assert answer.mask.sum() <= 25  # the patch about a corrected pixel
    empty = RegionGrower().predict(SliceRequest(np.zeros((50, 60), np.float32)))
    assert not empty.mask.any()


def test_clicks_far_apart_are_all_seen() -> None:
    truth = disk((400, 400), (60, 60), 20) | disk((400, 400), (340, 330), 20)
    grower = RegionGrower()
    answer = grower.predict(SliceRequest(picture(truth), strokes=(click(60, 60), click(340, 330))))
    assert iou(answer.mask, truth) > 0.9


def test_a_measured_line_says_how_large_the_crop_is() -> None:
    truth, grower = disk((300, 300), (120, 200), 20), RegionGrower()
    beside, long_axis = line_stroke((118, 190), (118, 210)), line_stroke((120, 180), (120, 220))
    answer = grower.predict(SliceRequest(picture(truth), strokes=(long_axis, beside)))
    assert iou(answer.mask, truth) > 0.9
    assert (grower.squares[0][0] > 0.5).mean() == pytest.approx(np.pi / 4 / 1.4**2, rel=0.05)
    assert len(grower.squares) == 1


def test_a_first_answer_keeps_to_what_a_line_measures_and_later_ones_need_not() -> None:
    truth, line = disk((200, 200), (100, 100), 30), line_stroke((100, 80), (100, 110))
    first = RegionGrower().predict(SliceRequest(picture(truth), strokes=(line,)))
    assert first.mask[100, 80:111].all()
    assert not first.mask[100, :78].any()
    assert not first.mask[100, 113:].any()
    request = SliceRequest(picture(truth), strokes=(line, click(100, 125)), previous=first)
    assert iou(RegionGrower().predict(request).mask, truth) > 0.9


def test_two_measured_axes_start_from_their_ellipse_and_clicks_go_on_from_the_answer() -> None:
    truth, grower = disk((300, 300), (120, 200), 20), RegionGrower()
    axes = line_stroke((120, 180), (120, 220)), line_stroke((110, 200), (130, 200))
    lesion = grower.predict(SliceRequest(picture(truth), strokes=axes[:1]))
    answer = grower.predict(SliceRequest(picture(truth), strokes=axes, previous=lesion))
    previous, guidance = grower.squares[-1][1][0], grower.squares[-1][2][0]
    assert (previous >= 0.5).mean() == pytest.approx(np.pi / 4 * 0.5 / 1.8**2, rel=0.1)
    rows = np.flatnonzero((guidance > 0).any(1))
    assert np.ptp(rows) < 12  # the axis across is not drawn
    assert iou(answer.mask, truth) > 0.9
    grower.predict(SliceRequest(picture(truth), strokes=(*axes, click(138, 200)), previous=answer))
    assert (grower.squares[-1][1][0] >= 0.5).mean() == pytest.approx(np.pi / 4 / 1.8**2, rel=0.1)


@pytest.mark.parametrize("size", [line_stroke((200, 185), (200, 215)), box_stroke((185, 185), (215, 215))])
def test_prompts_beside_one_that_tells_the_size_are_seen_too(size: Stroke) -> None:
    grower = RegionGrower()
    grower.predict(SliceRequest(picture(disk((400, 400), (200, 200), 15)), strokes=(size, click(90, 200, False))))
    assert grower.squares[0][2][1].any()


def test_a_click_beyond_what_a_line_measures_says_that_it_was_not_all() -> None:
    truth, line = disk((200, 200), (100, 100), 30), line_stroke((100, 80), (100, 110))
    for beyond in (click(100, 125), box_stroke((70, 70), (199, 199))):
        answer = RegionGrower().predict(SliceRequest(picture(truth), strokes=(line, beyond)))
        assert iou(answer.mask, truth) > 0.9


def test_a_mask_runs_out_of_a_crop_only_where_the_slice_goes_on() -> None:
    crop = Crop.around((50, 50), 40, 64, (100, 100), (1.0, 1.0))  # from 30 to 70
    assert not runs_out(disk((100, 100), (50, 50), 15), crop)
    assert runs_out(disk((100, 100), (50, 50), 20), crop)
    assert runs_out(disk((100, 100), (62, 50), 8), crop)
    corner = Crop.around((0, 0), 40, 64, (100, 100), (1.0, 1.0))
    assert not runs_out(disk((100, 100), (0, 0), 20), corner)
    assert runs_out(disk((100, 100), (0, 0), 40), corner)


class Slope(RegionGrower):
    """Answers with a disk about the middle of the square that fades outwards, whatever it is asked."""

    def infer(self, image: Square, previous: Square, guidance: Square) -> SquareAnswer:
        self.squares.append((image, previous, guidance))
        rows, columns = np.indices(image.shape) - image.shape[0] / 2
        logits = (40 - np.hypot(rows, columns)) / 8
        return SquareAnswer((1 / (1 + np.exp(-logits))).astype(np.float32), np.zeros_like(image))


def test_many_negative_prompts_do_not_melt_what_is_there() -> None:
    image = np.zeros((128, 128), np.float32)
    before = Prediction(disk(image.shape, (64, 64), 20).astype(np.float32), image, 0.9)
    away = [click(3, 3 + 10 * n, positive=False) for n in range(12)]

    def logit(give_back: float, negative: int, previous: Prediction | None = before) -> float:
        request = SliceRequest(image, strokes=(click(64, 64), *away[:negative]), previous=previous)
        probability = Slope(ZoomPolicy(size=128, give_back=give_back)).predict(request).probability[64, 90]
        return float(np.log(probability / (1 - probability)))

    for negative, more in ((0, 0.0), (2, 0.0), (3, 0.2), (6, 0.8), (12, 1.0)):
        assert logit(0.2, negative) - logit(0.0, negative) == pytest.approx(more, abs=1e-3)
    assert logit(0.2, 12, previous=None) == pytest.approx(logit(0.0, 12, previous=None))


def test_what_is_given_back_never_overrules_a_prompt() -> None:
    image = np.zeros((128, 128), np.float32)
    before = Prediction(disk(image.shape, (64, 64), 20).astype(np.float32), image, 0.9)
    inside = [click(64 + 2 * n, 64, positive=False) for n in range(1, 10)]
    answer = Slope(ZoomPolicy(size=128, give_back=0.5)).predict(
        SliceRequest(image, strokes=(click(64, 64), *inside), previous=before)
    )
    assert answer.mask[64, 64]
    assert not any(answer.mask[64 + 2 * n, 64] for n in range(1, 10))


def test_expected_iou_of_calibrated_probabilities() -> None:
    assert expected_iou(np.array([[1.0, 1.0, 0.0, 0.0]], np.float32)) == 1.0
    # intersection 0.8 + 0.6, union 2 + 0.4
    assert expected_iou(np.array([[0.8, 0.6, 0.4, 0.0]], np.float32)) == pytest.approx(1.4 / 2.4)
    assert expected_iou(np.array([[0.3, 0.1]], np.float32)) == pytest.approx(0.7)


def test_quality_goes_with_the_answer() -> None:
    truth = disk((80, 80), (40, 40), 12)
    answer = RegionGrower().predict(SliceRequest(picture(truth), strokes=(click(40, 40),)))
    assert answer.quality == pytest.approx(expected_iou(answer.probability))
    assert isinstance(answer, Prediction)
