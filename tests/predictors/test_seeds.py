import numpy as np

from edgeflow_med.predictors.base import Stroke
from edgeflow_med.predictors.seeds import reached, read_seeds

CLICK = Stroke(((30.0, 50.0),))


def test_a_click_is_certain_for_its_pixel_and_shows_a_little_more():
    seeds = read_seeds([CLICK], (60, 100))
    assert np.argwhere(seeds.positive).tolist() == [[30, 50]]
    assert seeds.positive_sample.sum() == 13  # pixels within 2 of a centre


def test_without_a_negative_stroke_the_border_stands_in():
    seeds = read_seeds([CLICK], (60, 100))
    assert not seeds.negative.any()
    # 10 % of 60 and 100 on every side, and no pixel of it within 15 % of 60 of the click
    assert seeds.negative_sample.sum() == 60 * 100 - 48 * 80


def test_the_border_keeps_away_from_positive_strokes():
    seeds = read_seeds([Stroke(((2.0, 50.0),))], (60, 100))
    assert not seeds.negative_sample[:6, 45:56].any()
    assert seeds.negative_sample[2, 60]
    assert not seeds.negative_sample[2, 59]  # at a distance of 9, which is 15 % of 60


def test_a_negative_stroke_replaces_it():
    seeds = read_seeds([CLICK, Stroke(((10.0, 10.0),), positive=False)], (60, 100))
    assert np.argwhere(seeds.negative).tolist() == [[10, 10]]
    assert seeds.negative_sample.sum() == 13


def test_the_later_of_two_strokes_counts():
    both = [CLICK, Stroke(CLICK.points, positive=False)]
    assert not read_seeds(both, (60, 100)).positive.any()
    assert not read_seeds(both[::-1], (60, 100)).negative.any()


def test_only_pieces_that_were_pointed_at_are_kept():
    mask = np.zeros((60, 100), bool)
    mask[28:33, 48:53] = mask[5:9, 5:9] = True
    kept = reached(mask, read_seeds([CLICK], (60, 100)))
    assert kept.sum() == 25
    assert kept[30, 50]
