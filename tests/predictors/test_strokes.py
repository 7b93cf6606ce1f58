"""Boxes, lassos and measured lines: what they become on the slice, and that the answer keeps to them."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow_med.predictors.base import SliceRequest, Stroke
from edgeflow_med.predictors.crop import Crop, draw_prompts, fill_regions
from edgeflow_med.predictors.obey import obey
from edgeflow_med.predictors.strokes import box_corners, box_stroke, line_stroke, stroke_of
from edgeflow_med.prompts import Box, Click, Lasso, Line, Scribble
from tests.region_growing import RegionGrower, disk, iou, picture

IDENTITY = Crop((-0.5, -0.5), (1.0, 1.0), 64, (64, 64))


@pytest.mark.parametrize(("axis", "pixel"), [(0, (5.0, 7.0)), (1, (3.0, 7.0)), (2, (3.0, 5.0))])
def test_a_click_is_one_point_of_its_slice(axis: int, pixel: tuple[float, float]) -> None:
    assert stroke_of(Click((3, 5, 7), positive=False), axis, (1, 1)) == Stroke((pixel,), positive=False)


def test_the_width_of_a_scribble_is_in_pixels_of_the_finer_axis() -> None:
    scribble = Scribble(((0, 1, 1), (0, 5, 9)), width_mm=3)
    assert stroke_of(scribble, 0, (2.0, 0.5)).width == 6


def test_a_box_holds_its_corner_pixels_whichever_corners_were_given() -> None:
    wanted = {(9.5, 19.5), (9.5, 40.5), (30.5, 40.5), (30.5, 19.5)}
    for corner, opposite in [((10, 20), (30, 40)), ((30, 40), (10, 20)), ((10, 40), (30, 20))]:
        stroke = box_stroke(corner, opposite)
        assert stroke.closed
        assert set(stroke.points) == wanted
    filled = fill_regions([stroke_of(Box((4, 10, 20), (4, 30, 40)), 0, (1, 1))], IDENTITY)
    assert filled.sum() == 21 * 21
    assert filled[10:31, 20:41].all()


def test_the_corners_of_a_box_come_back() -> None:
    assert box_corners(box_stroke((30, 40), (10, 20))) == ((10, 20), (30, 40))


def test_a_line_is_as_long_as_its_millimetres_say_in_pixels_of_the_finer_axis() -> None:
    line = stroke_of(Line((0, 10, 10), (0, 13, 14)), 0, (1.0, 0.5))
    assert line.diameter == pytest.approx(np.hypot(3, 2) / 0.5)


def test_a_lasso_is_closed_and_filled() -> None:
    stroke = stroke_of(Lasso(((2, 10, 10), (2, 50, 10), (2, 10, 50))), 0, (1, 1))
    filled = fill_regions([stroke], IDENTITY) > 0
    assert filled[15, 15]
    assert not filled[45, 45]
    negative = draw_prompts([stroke], IDENTITY)[1] > 0
    assert negative[30, 10]
    assert negative[30, 30]  # the closing side
    assert not negative[15, 15]


def test_a_line_keeps_off_its_ends() -> None:
    stroke = stroke_of(Line((0, 10, 10), (0, 10, 60)), 0, (1, 1))
    assert stroke == line_stroke((10, 10), (10, 60)) == Stroke(((10, 14), (10, 56)), diameter=50)


def test_a_box_is_a_prompt_by_itself() -> None:
    truth, grower = disk((200, 200), (60, 80), 20), RegionGrower()
    other = disk((200, 200), (60, 150), 20)
    answer = grower.predict(SliceRequest(picture(truth | other), strokes=(box_stroke((38, 58), (82, 102)),)))
    assert iou(answer.mask, truth) > 0.9
    _, previous, guidance = grower.squares[0]
    assert 0.25 < previous[0].mean() < 0.4  # the box, in a crop 1.8 times its size
    assert guidance[1].any()
    assert not guidance[0].any()


def test_the_answer_stays_in_a_region_but_for_a_little_slack_and_later_clicks() -> None:
    everywhere, image = np.full((60, 60), 0.9, np.float32), np.zeros((60, 60), np.float32)
    box = box_stroke((20, 20), (39, 39))
    mask = obey(everywhere, image, (1, 1), [box]) >= 0.5
    assert mask[19:41, 19:41].all()
    assert mask.sum() == 22 * 22  # 10 % of 20 pixels, shared by both sides
    assert (obey(everywhere, image, (1, 1), [box, Stroke(((5.0, 5.0),))]) >= 0.5)[5, 5]


def test_other_segments_are_evidence_against_and_never_covered() -> None:
    both = picture(disk((100, 100), (50, 30), 15) | disk((100, 100), (50, 60), 15))  # they touch
    other = np.zeros((100, 100), bool)
    other[:, 46:] = True
    grower = RegionGrower()
    request = SliceRequest(both, strokes=(Stroke(((50.0, 30.0),)),), excluded=other)
    answer = grower.predict(request)
    assert answer.mask[50, 30]
    assert not (answer.mask & other).any()
    assert grower.squares[-1][2][1].any()
