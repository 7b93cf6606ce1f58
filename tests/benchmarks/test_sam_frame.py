import numpy as np
import pytest

from benchmarks.quality.sam import LOW, Frame, along, read_prompts
from edgeflow_med.predictors.base import Prediction, Stroke
from edgeflow_med.predictors.strokes import box_stroke

PADDED = Frame((100, 200), 1024, stretch=False)  # 5.12 frame pixels a slice pixel; 512 rows of 1024 are slice
STRETCHED = Frame((100, 200), 1024, stretch=True)  # 10.24 along rows, 5.12 along columns


def test_how_much_of_the_square_the_slice_takes_up():
    assert PADDED.inner == (512, 1024)
    assert PADDED.low_inner == (128, 256)
    assert STRETCHED.inner == (1024, 1024)
    assert STRETCHED.low_inner == (256, 256)


@pytest.mark.parametrize(("frame", "scale"), [(PADDED, (5.12, 5.12)), (STRETCHED, (10.24, 5.12))])
def test_pixel_centres_stay_pixel_centres(frame, scale):
    (x, y), *_ = frame.points([(99, 10)])
    assert y == pytest.approx(99.5 * scale[0] - 0.5)
    assert x == pytest.approx(10.5 * scale[1] - 0.5)


def test_padding_is_right_and_below():
    square = PADDED.pad(np.ones((3, 512, 1024), np.float32))
    assert square.shape == (1, 3, 1024, 1024)
    assert square[0, :, :512].all()
    assert not square[0, :, 512:].any()


def test_logits_of_the_padding_do_not_reach_the_slice():
    logits = np.full((LOW, LOW), -20.0, np.float32)
    logits[:128] = 20.0
    assert PADDED.to_slice(logits).shape == (100, 200)
    assert (PADDED.to_slice(logits) > 0.99).all()


def test_an_answer_of_another_predictor_is_told_as_logits():
    probability = np.full((100, 200), 0.5, np.float32)
    probability[:50] = 1.0
    told = PADDED.previous_logits(Prediction(probability, probability, 1.0))
    assert told.shape == (1, 1, LOW, LOW)
    assert told[0, 0, 10, 10] == pytest.approx(np.log((1 - 1e-6) / 1e-6), rel=0.01)
    assert told[0, 0, 120, 10] == pytest.approx(0.0, abs=1e-6)
    assert told[0, 0, 200, 10] < -10


def test_its_own_answer_is_told_as_it_was():
    logits = np.random.default_rng(0).normal(size=(LOW, LOW)).astype(np.float32)
    np.testing.assert_array_equal(PADDED.previous_logits(PADDED.answer(logits, 1.2))[0, 0], logits)
    assert PADDED.answer(logits, 1.2).quality == 1.0


def test_clicks_scribbles_and_boxes_become_points():
    line = Stroke(tuple((50.0, float(c)) for c in range(100)), positive=False, width=3.0)
    click = Stroke(((10.0, 20.0),))
    prompts = read_prompts((click, line, box_stroke((0.0, 0.0), (99.0, 199.0))), STRETCHED)
    assert prompts.labels.tolist() == [1, 0, 0, 0, 0, 0]
    coordinates, labels = prompts.with_corners()
    assert labels.tolist() == [2, 3, 1, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(coordinates[1], [199.5 * 5.12 - 0.5, 99.5 * 10.24 - 0.5], rtol=1e-6)
    assert not prompts.ambiguous
    assert read_prompts((click,), STRETCHED).ambiguous


def test_points_along_a_scribble_are_evenly_spaced():
    line = Stroke(tuple((0.0, float(c)) for c in range(10)), width=3.0)
    assert [c for _, c in along(line, 5)] == [1.0, 3.0, 5.0, 7.0, 9.0]
    assert along(Stroke(((3.0, 4.0),)), 5) == [(3.0, 4.0)]
